"""The part of a study about training rows: their source, cleaning, and test items in them."""

from typing import Literal

from pydantic import Field, field_validator

from harness.secrets import secrets_in_address
from harness.study.endpoint import Section


class Query(Section):
    """Rows from a database: what SQLAlchemy connects to, and one SELECT."""

    url: str = Field(description="SQLAlchemy's address, such as sqlite:///data/support.db")
    query: str = Field(description="a SELECT whose columns are the fields of a row shape")

    @field_validator("url")
    @classmethod
    def _no_password(cls, url: str) -> str:
        if found := secrets_in_address(url):
            raise ValueError(
                f"a study is kept with its run and holds no passwords: found {', '.join(found)}; "
                "write ${NAME} there and set that environment variable"
            )
        return url

    def __str__(self) -> str:
        return f"{self.query} ({self.url})"


class DataSection(Section):
    """How training rows are cleaned, and what becomes of test items found in them."""

    clean: bool = Field(
        True, description="repair encodings, invisible characters, line ends and doubled turns"
    )
    repetitions: Literal["keep", "drop_exact", "drop"] = Field(
        "keep", description="rows that repeat an earlier one; drop also drops near repetitions"
    )
    min_characters: int = Field(0, ge=0, description="shorter rows are dropped")
    max_characters: int | None = Field(None, gt=0, description="longer rows are dropped")
    languages: tuple[str, ...] = Field(
        (), description="keep rows in these languages only (codes such as en, de)"
    )
    overlap: Literal["warn", "exclude", "refuse"] = Field(
        "warn",
        description="test items found in training rows: listed only, left out of the comparison, "
        "or refused before training",
    )
