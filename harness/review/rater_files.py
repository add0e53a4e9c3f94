"""The files that one rater gets."""

from harness.content import REPORTS
from harness.review.packet import Packet
from harness.review.sheets import csv_sheet, workbook


def rater_files(packet: Packet) -> dict[str, bytes]:
    """Write what a rater gets, by name: how to rate, and each set as a workbook and as CSV."""
    rubric = (REPORTS / "rubric.md").read_text("utf-8")
    files = {"instructions.md": rubric.encode()}
    for sheet in packet.sheets:
        files[f"{sheet.name}.xlsx"] = workbook(sheet, rubric)
        files[f"{sheet.name}.csv"] = csv_sheet(sheet)
    return {f"rater-{packet.rater}/{name}": data for name, data in files.items()}
