# Not built by our tests, which have no container runtime; the workflow `tests` lints and builds it.
#
#   docker build -t finetune-harness .
#   docker run --rm -v "$PWD:/study" finetune-harness run study.yaml
#
# --build-arg VERSION= says which release it is, since an image sees no git.
# For a GPU: --build-arg TORCH=https://download.pytorch.org/whl/cu130, and `docker run --gpus all`.
FROM python:3.11-slim-bookworm

# Queries of PostgreSQL are judged on PostgreSQL, which is never started as root.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends postgresql \
    && rm -rf /var/lib/apt/lists/*

ARG TORCH=https://download.pytorch.org/whl/cpu
ARG VERSION=0.1.0.dev0
COPY . /src
RUN SETUPTOOLS_SCM_PRETEND_VERSION="$VERSION" pip install --no-cache-dir --extra-index-url "$TORCH" -c /src/constraints.txt '/src[all,judges]' \
    && rm -rf /src \
    && useradd --uid 1000 --create-home harness \
    && install -d -o harness /study

USER 1000
WORKDIR /study
ENTRYPOINT ["harness"]
CMD ["--help"]
