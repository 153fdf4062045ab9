"""File formats that a dataset is uploaded in, one a file.

What is read here comes from strangers: nothing is unpickled, no path of an archive is followed,
and sizes are looked at before anything is unpacked. `models.sandbox` runs it in a process
with limits of its own.
"""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, Self

from pydantic import Field, field_validator, model_validator

from models.datasets.archive import names_in
from models.datasets.encodings import foreign
from models.datasets.splits import Folding
from models.datasets.steps import FREQUENCIES, frequency_of
from models.datasets.stored import Content
from models.registry import Registry
from models.settings import Items, Settings
from models.task import MULTILABEL

MAX_VALUES = 2**29
"""Numbers of one array of a dataset: 2 GiB of float32."""

MAX_RATIO = 200
"""Unpacked over packed bytes of an archive; deflate itself reaches 1,032."""


class FormatError(ValueError):
    """A file that is no such dataset. `option`: the option at fault, where it is one.

    The message names the row, column, entry or array, what it holds and what it should.
    """

    def __init__(self, message: str, option: str | None = None) -> None:
        super().__init__(message)
        self.option = option


class SplitOptions(Settings):
    """How the samples are divided, where the file does not say so itself."""

    validation: float = Field(0.2, gt=0, lt=1, description="share of the samples")
    test: float = Field(0.2, gt=0, lt=1, description="share of the samples")
    seed: int = Field(0, ge=0, lt=2**31, description="of what is drawn at random")


class FoldOptions(Settings):
    """How train and validation are cut anew for each network that a search tries."""

    folds: int = Field(ge=2, le=20, description="parts; each is the validation of the others once")
    repeats: int = Field(1, ge=1, le=20, description="other cuts into as many parts")


PictureSize = Annotated[int, Field(ge=1, le=2048)]

ColumnNames = Annotated[
    Items[Annotated[str, Field(min_length=1, max_length=1000)]],
    Field(min_length=1, max_length=10_000),
]

ColumnChoice = Literal[
    "number", "boolean", "category", "date", "text", "identifier", "constant", "ignore"
]
LEFT_OUT: tuple[ColumnChoice, ...] = ("identifier", "constant", "ignore")
"""Of `ColumnChoice`, what has no network see a column."""


class Options(Settings):
    """What a file alone does not say. Each format takes some of them."""

    target: str | Items[str] | None = Field(
        None, description="the column, or columns, to predict", max_length=1000
    )
    text: str | None = Field(None, max_length=1000, description="the column with the text")
    time: str | Items[str] | None = Field(
        None,
        min_length=1,
        max_length=1000,
        description="the column with the time, or those of its parts: date and clock or hour; "
        "year, month, day, hour, minute and second, as far as there are any",
    )
    series: str | Items[str] | None = Field(
        None,
        min_length=1,
        max_length=1000,
        description="the column, or columns, that tell several series of one file apart",
    )
    window: int | None = Field(
        None, ge=1, le=100_000, description="time steps or tokens that a network sees"
    )
    tokens: Literal["words", "subwords", "characters"] = Field(
        "words",
        description="what a text is cut into to be classified, where the recipe does not say so; "
        "of scripts without blanks between words a word is a character, subwords are frequent "
        "parts of words",
    )
    horizon: int | None = Field(None, ge=1, le=100_000, description="time steps to forecast")
    frequency: str | None = Field(
        None,
        max_length=20,
        description="a regular step that a series is brought to, each the mean of its rows: "
        + FREQUENCIES,
    )
    known: str | Items[str] | None = Field(
        None,
        max_length=1000,
        description="columns of a series whose values are known for the steps to forecast, a price "
        "or a holiday; calendar stands for the hour, weekday and season of the time",
    )
    unlabelled: bool = Field(
        False,
        description="whether rows without a target, or a folder of pictures named unlabelled, are "
        "samples to pretrain on instead of an error",
    )
    columns: dict[str, ColumnChoice] = Field(
        default_factory=dict,
        max_length=10_000,
        description="what a column is, by its name, where the file's reader would guess otherwise; "
        "ignore and identifier leave it out, and constant says that it has one value",
    )
    encoding: str | None = Field(
        None, max_length=40, description="of a text; default: UTF-8, or what its first bytes say"
    )
    separator: Literal[",", ";", "\t", "||", "|", "^", "~", "::", ":", " "] | None = Field(
        None,
        description="between the cells of a row, a blank for any number of them; default: what the "
        "rows say",
    )
    header: bool | ColumnNames | None = Field(
        None,
        description="of a CSV: whether its first row names the columns; false has them called "
        "column_1, column_2 and so on; or their names, where no row has them. Default: it does, "
        "and a first row that looks like data is refused",
    )
    decimal: Literal[".", ","] | None = Field(
        None, description="the decimal sign; default: what the numbers say"
    )
    missing: Items[Annotated[str, Field(max_length=100)]] | None = Field(
        None,
        max_length=100,
        description="what a cell without a value holds, whatever its case; an empty one is always "
        "without. Default: the usual words, NA and ? among them, in columns of numbers, dates and "
        "booleans",
    )
    labels_separator: str | None = Field(
        None,
        min_length=1,
        max_length=3,
        description="between the labels of a sample; default: ; or, where no cell has one, | or ,",
    )
    size: PictureSize | Items[PictureSize] | None = Field(
        None,
        description="height and width, or both as one number, that pictures are scaled to; "
        "default: their median",
    )
    channels: Literal[4] | None = Field(
        None,
        description="of pictures of a zip: 4 keeps transparency as a fourth channel; default: "
        "they are seen on white",
    )
    undirected: bool = Field(
        False,
        description="whether edges of a graph count in both directions, however they are given",
    )
    split: SplitOptions = Field(default_factory=SplitOptions)
    validation: FoldOptions | None = Field(
        None,
        description="cross-validation for small data: a network of the search is trained once a "
        "fold, and its scores are the means",
    )
    split_column: str | None = Field(
        None,
        max_length=1000,
        description="the column whose words train, validation (val, valid, dev and the like) and "
        "test (holdout) divide the rows, abbreviated or in a dozen languages; or yes and no in one "
        "called is_train, is_test or the like, or 0, 1 and 2; it is no input",
    )
    group_column: str | None = Field(
        None,
        max_length=1000,
        description="the column by which rows, of one person for example, stay in one split; it is "
        "no input unless columns says what it is",
    )

    @model_validator(mode="after")
    def _what_is_kept_together_has_targets(self) -> Self:
        if self.unlabelled and self.group_column is not None:
            raise ValueError("group_column keeps labelled rows together, unlabelled has others")
        if self.unlabelled and self.validation is not None:
            raise ValueError("validation cuts labelled samples anew, unlabelled has others")
        return self

    @field_validator(
        "target", "text", "time", "series", "known", "split_column", "group_column", mode="after"
    )
    @classmethod
    def _names_are_in_nfc(cls, names: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        """As those of a file are."""
        if isinstance(names, tuple):
            return tuple(unicodedata.normalize("NFC", name) for name in names)
        return names if names is None else unicodedata.normalize("NFC", names)

    @field_validator("columns")
    @classmethod
    def _columns_are_in_nfc(cls, columns: dict[str, ColumnChoice]) -> dict[str, ColumnChoice]:
        return {unicodedata.normalize("NFC", name): kind for name, kind in columns.items()}

    @field_validator("frequency")
    @classmethod
    def _is_a_step(cls, frequency: str | None) -> str | None:
        if frequency is not None:
            frequency_of(frequency)
        return frequency

    @property
    def folding(self) -> Folding | None:
        """As `Division` takes it."""
        folds = self.validation
        return None if folds is None else Folding(folds.folds, folds.repeats)

    @field_validator("size")
    @classmethod
    def _has_two_sides(cls, size: int | tuple[int, ...] | None) -> int | tuple[int, ...] | None:
        if isinstance(size, tuple) and len(size) != 2:
            raise ValueError(f"height and width are two numbers, got {len(size)}")
        return size

    @field_validator("labels_separator")
    @classmethod
    def _divides_labels(cls, sign: str | None) -> str | None:
        if sign is not None and any(map(str.isalnum, sign)):
            raise ValueError(f"labels are divided by signs or blanks, got {sign!r}")
        return sign

    @property
    def picture_size(self) -> tuple[int, int] | None:
        """Height and width."""
        if self.size is None:
            return None
        return (
            (self.size, self.size) if isinstance(self.size, int) else (self.size[0], self.size[1])
        )

    @field_validator("encoding")
    @classmethod
    def _is_a_text_encoding(cls, name: str | None) -> str | None:
        if name is None:
            return None
        try:
            known = codecs.lookup(name)
        except LookupError:
            raise ValueError("no known encoding; for example utf-8, latin-1, cp1252") from None
        if not known._is_text_encoding:
            raise ValueError(f"{name} is no encoding of texts")
        return known.name

    @property
    def known_columns(self) -> tuple[str, ...]:
        """Those known in advance, `calendar` among them."""
        return tuple(dict.fromkeys(_names(self.known)))

    @property
    def time_columns(self) -> tuple[str, ...]:
        return _names(self.time)

    @property
    def series_columns(self) -> tuple[str, ...]:
        """Those that tell series apart."""
        return _names(self.series)

    @property
    def targets(self) -> tuple[str, ...]:
        """The target columns; none where the option was left out."""
        return _names(self.target)


def _names(given: str | Sequence[str] | None) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given or ())


@dataclass(frozen=True, slots=True)
class Upload:
    """A file to read, the name of the dataset that it becomes, and what its owner says of it."""

    path: Path
    name: str
    task: str
    options: Options

    @property
    def shares(self) -> Mapping[str, Any]:
        """The options of a drawn split, for `images.from_arrays` and its like."""
        return self.options.split.model_dump()


class Format(Protocol):
    """`options`: those that have a meaning here, beside `split`."""

    tasks: frozenset[str]
    options: frozenset[str]
    description: str

    @staticmethod
    def recognises(path: Path) -> bool:
        """Whether the file is of this format, by its first bytes or its table of contents."""

    @staticmethod
    def read(upload: Upload) -> Content:
        """
        Raises:
            FormatError: the file, or an option, makes no such dataset.
        """


formats: Registry[Format] = Registry("format", __name__)


def uploadable_tasks() -> list[str]:
    """The tasks that a dataset can be uploaded for."""
    return sorted({task for entry in formats.values() for task in entry.tasks})


def _is_meant(entry: Format, upload: Upload) -> bool:
    """Whether it is of the task. What has labels is a table but where `text` names a column: then
    it is texts.
    """
    if upload.task == MULTILABEL and (upload.options.text is None) == ("text" in entry.options):
        return False
    return upload.task in entry.tasks


def format_of(upload: Upload) -> str:
    """The name of the format of a file.

    Raises:
        FormatError: it is of no format of the task, or is given an option that has no meaning.
    """
    able = {name: entry for name, entry in formats.items() if _is_meant(entry, upload)}
    for name, entry in able.items():
        if entry.recognises(upload.path):
            known = sorted({*entry.options, "split"})
            for option in sorted(upload.options.model_fields_set - set(known)):
                raise FormatError(
                    f"has no meaning for {upload.task} from {entry.description}; "
                    f"known are {', '.join(known)}",
                    option,
                )
            return name
    expected = " or ".join(entry.description for entry in able.values())
    found = foreign(_head(upload.path)) if "CSV" in expected else None
    is_what = "" if found is None else f": it is {found[0]}; {found[1]}"
    if inner := sorted(names_in(upload.path)):
        more = ", ..." if len(inner) > 3 else ""
        is_what = is_what or f": it is a zip of {', '.join(inner[:3])}{more}"
    raise FormatError(f"not a file for {upload.task}{is_what}; expected is {expected}")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4096)
