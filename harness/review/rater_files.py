"""The files that one rater gets, in every form."""

from harness.review.forms import instructions, label_studio_files, rater_folder, zipped
from harness.review.packet import Packet
from harness.review.sheets import csv_sheet, workbook


def rater_files(packet: Packet) -> dict[str, bytes]:
    """Write what a rater gets, by name: a folder with everything, and the same as one zip.

    Beside them is what a project of Label Studio is made from, for whoever sets it up.
    """
    sheets = {}
    for sheet in packet.sheets:
        sheets[f"{sheet.name}.xlsx"] = workbook(sheet, instructions(sheet))
        sheets[f"{sheet.name}.csv"] = csv_sheet(sheet)
    mine = f"rater-{packet.rater}"
    folder = {f"{mine}/{name}": data for name, data in rater_folder(packet, sheets).items()}
    tasks = {f"label-studio/{mine}/{n}": data for n, data in label_studio_files(packet).items()}
    return {f"{mine}.zip": zipped(folder), **folder, **tasks}
