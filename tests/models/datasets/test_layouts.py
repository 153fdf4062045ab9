"""How people, programs and instruments lay a table out: an upload and a bundle's `predict.py` read
the same cells, and what is understood is told.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from models.datasets.columns import read_table
from models.datasets.encodings import foreign
from models.datasets.formats import FormatError, Options
from models.datasets.raw_table import RawTable
from models.datasets.suggestions import suggested_encodings
from models.exporters.predicting import text_files
from models.exporters.predicting.predictor import PredictionError
from tests.models.support.uploads import read

ROWS = [["1.5", "7", "a"], ["2.5", "8", "b"], ["3.5", "6", "b"], ["0.5", "9", "a"]]
PLAIN = {
    "x": ["1.5", "2.5", "3.5", "0.5"],
    "n": ["7", "8", "6", "9"],
    "label": ["a", "b", "b", "a"],
}


def uploaded(folder: Path, content: str | bytes, **options: object) -> RawTable:
    path = folder / "file.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path, Options.model_validate(options))


def cells(table: RawTable) -> dict[str, list[str]]:
    return {name: texts.to_pylist() for name, texts in table.texts.items()}


def predicted(content: str) -> dict[str, list[str]]:
    found, _ = text_files.read_table(content, ["x", "n"])
    return {name: [text.strip() for text in texts] for name, texts in found.items()}


def lines(sign: str = ",", header: str = "x,n,label", end: str = "") -> str:
    rows = [header, *(",".join(row) for row in ROWS)]
    return "".join(f"{row.replace(',', sign)}{end}\n" for row in rows)


LAYOUTS: dict[str, tuple[str, set[str]]] = {
    "carets": (lines("^"), {"separator_guessed"}),
    "colons": (lines(":"), {"separator_guessed"}),
    "blanks": (lines(" "), {"separator_guessed"}),
    "aligned": (lines("\t   ").replace("\n", "  \n  "), {"separator_guessed"}),
    "names of rows of R": (
        "x,n,label\n" + "".join(f"r{i},{','.join(row)}\n" for i, row in enumerate(ROWS)),
        {"index_ignored"},
    ),
    "write.table of R": (
        '"x" "n" "label"\n' + "".join(f'"{i}" {a} {b} "{c}"\n' for i, (a, b, c) in enumerate(ROWS)),
        {"separator_guessed", "index_ignored"},
    ),
    "index of pandas": (
        lines(header=",x,n,label").replace("\n", "\n0,")[:-2], {"index_ignored"}
    ),
    "units": (lines(header="x,n,label\nkg,m/s,"), {"second_header"}),
    "units in brackets": (lines(";", "x,n,label\n[kg],,-"), {"second_header", "separator_guessed"}),
    "single quotes": (
        "'x','n','label'\n" + "".join(f"'{a}','{b}','{c}'\n" for a, b, c in ROWS),
        {"quotes_guessed"},
    ),
    "comments": ("# made by me, today\n# again\n" + lines(), {"lines_skipped"}),
    "a header behind a number sign": ("# x n label\n" + lines(" ", "x")[2:], {"separator_guessed"}),
    "titles of a spreadsheet": (
        "A report,,\nMade on,3 May 2026,\n,,\n" + lines(), {"lines_skipped"}
    ),
    "a title above units": (
        "A report,,\n" + lines(header="x,n,label\nkg,m/s,"), {"lines_skipped", "second_header"}
    ),
    "blank lines": ("\n\n" + lines().replace("\n", "\n\n"), set()),
    "empty rows": (lines() + ",,\n,,\n", {"empty_rows"}),
    "separators at the end": (lines(";", end=";"), {"empty_column", "separator_guessed"}),
    "separators at the end of rows": (
        lines(";", end=";").replace("label;", "label"), {"empty_column", "separator_guessed"}
    ),
    "separators at the end of some rows": (lines().replace("7,a", "7,a,,"), set()),
    "a separator at the end of the header": (lines(header="x,n,label,"), set()),
    "a total": (lines() + "Total,,\n", {"totals_row"}),
    "sums": (lines() + ",30,\n", {"totals_row"}),
    "a sum and a mean": (lines() + "Total,30,\nMean,7.5,\n", {"totals_row"}),
    "notes of a spreadsheet": (
        lines() + "Source: somebody,,\n,,\nLast updated: today,,\n", {"lines_skipped", "empty_rows"}
    ),
    "a line below": (lines() + "\nSource: somebody\n", {"lines_skipped"}),
    "a comment below the header": (lines(header="x,n,label\n# kg"), {"lines_skipped"}),
    "a table of Markdown": (
        lines(" | ", "x,n,label\n---,---,---"), {"separator_guessed", "second_header"}
    ),
    "quotes behind blanks": (lines(", ").replace(" a", ' "a"').replace(" b", ' "b"'), set()),
    "the header again": (lines() + lines(), {"repeated_header"}),
    "double bars": (lines("||"), {"separator_guessed"}),
    "double colons": (lines("::"), {"separator_guessed"}),
    "comments of TeX": ("% made by me, today\n" + lines(), {"lines_skipped"}),
    "comments of C": ("// made by me\n" + lines(header="x,n,label\n// kg"), {"lines_skipped"}),
    "several rows of units": (
        lines(header="x,n,label\nlength,speed,\nm,m/s,"), {"second_header"}
    ),
    "a table of psql": (
        lines(" | ", "x,n,label\n---+---+---") + "(4 rows)\n",
        {"separator_guessed", "lines_skipped"},
    ),
    "a table of mysql": (
        "+---+---+---+\n" + "".join(f"| {row} |\n" for row in lines(" | ").splitlines())
        .replace("label |\n", "label |\n+---+---+---+\n") + "+---+---+---+\n",
        {"separator_guessed", "lines_skipped", "empty_column", "index_ignored"},
    ),
    "several cells below": (lines() + "Generated,by a program\n", {"lines_skipped"}),
    "sentences below": (lines() + "\nMade on Monday, 3 May\nPage 1, 2\n", {"lines_skipped"}),
    "names of rows that count": (
        lines().replace("\n", "\n1,", 1).replace("\n2.5", "\n2,2.5").replace("\n3.5", "\n3,3.5")
        .replace("\n0.5", "\n4,0.5"),
        {"index_ignored"},
    ),
    "quoted names of rows": (
        "x,n,label\n" + "".join(f'"of {i}",{",".join(row)}\n' for i, row in enumerate(ROWS)),
        {"index_ignored"},
    ),
    "a line of another program": (
        '"EXTF";700;"Stack";"x";20240131\n' + lines(";"), {"lines_skipped", "separator_guessed"}
    ),
    "a framed list": (
        f"|{'-' * 9}|\n" + "".join(f"|{row}|\n" for row in lines("|").splitlines())
        .replace("label|\n", f"label|\n|{'-' * 9}|\n") + f"|{'-' * 9}|\n",
        {"separator_guessed", "lines_skipped", "empty_column", "index_ignored"},
    ),
    "lines in quotes": ("".join(f'"{row}"\r\n' for row in lines().split()), {"lines_in_quotes"}),
    "lines in quotes, with quotes": (
        "".join(f'"""{row}""",,\n' for row in lines('"",""').split()),
        {"lines_in_quotes"},
    ),
    "utf-16": (lines(), set()),
}  # fmt: skip


@pytest.mark.parametrize("case", LAYOUTS)
def test_a_table_is_the_same_however_it_is_laid_out(case: str, tmp_path: Path) -> None:
    content, told = LAYOUTS[case]
    table = uploaded(tmp_path, content)
    expected = PLAIN if case != "the header again" else {n: v + v for n, v in PLAIN.items()}
    assert cells(table) == expected
    assert {remark.code for remark in table.remarks} == told
    assert predicted(content) == expected


@pytest.mark.parametrize(
    ("below", "told"),
    [
        ("Source: somebody", "lines_skipped"),
        ("Source: somebody,", "lines_skipped"),
        ('"Source: somebody, 2026"', "lines_skipped"),
        ("Total: 3 rows\nMade by a program", "lines_skipped"),
        ("Total,60", "totals_row"),
        ("Total 2026,60", "totals_row"),
        ("Total,", "totals_row"),
        ("Total,60\nAverage,20\nSource: somebody,", "totals_row"),
    ],
)
def test_what_stands_below_two_columns_is_no_row(below: str, told: str, tmp_path: Path) -> None:
    rows = [f"2026-01-0{day},{10 * day}" for day in range(1, 4)]
    content = "\n".join(["x,n", *rows, below])
    table = uploaded(tmp_path, content)
    expected = {"x": [row[:10] for row in rows], "n": ["10", "20", "30"]}
    assert cells(table) == predicted(content) == expected
    assert {remark.code for remark in table.remarks} - {"totals_row"} <= {"lines_skipped"}
    assert all(remark.where == f"row {place}" for place, remark in enumerate(table.remarks, 5))
    assert told in {remark.code for remark in table.remarks}


@pytest.mark.parametrize("last", ["Total,6", "a note,", "Ann,7"])
def test_a_last_row_of_words_above_whose_cells_are_words_is_one(last: str, tmp_path: Path) -> None:
    content = "\n".join(["x,n", "Jo,10", "Bo,20", "Cy,30", "Al,40", last])
    assert len(cells(uploaded(tmp_path, content))["x"]) == len(predicted(content)["x"]) == 5


def test_a_file_without_a_header_is_refused_with_the_option_that_names_columns(
    tmp_path: Path,
) -> None:
    rows = ["5.1,3.5,setosa", "4.9,3.0,setosa", "7.0,3.2,other", "6.4,3.1,other"] * 12
    content = "\n".join(rows)
    with pytest.raises(FormatError, match=r"the first row, '5.1', .*header=false") as refused:
        uploaded(tmp_path, content, target="kind")
    assert refused.value.option == "header"
    table = uploaded(tmp_path, content, header=False)
    assert list(table.texts) == ["column_1", "column_2", "column_3"] and table.rows == 48
    with pytest.raises(FormatError, match="a row has 3 cells, and header 2 names"):
        uploaded(tmp_path, content, header=["a", "b"])
    names = ["sepal", "petal", "kind"]
    dataset = read(
        tmp_path, content.encode(), "tabular_classification", target="kind", header=names
    )
    header = dataset.preprocessing["header"]
    for text in (content, "5.1,3.5\n4.9,3.0\n", "petal;sepal\n3.5;5.1\n"):
        found, _ = text_files.read_table(text, ["sepal", "petal"], header)
        assert (found["sepal"][0], found["petal"][0]) == ("5.1", "3.5")
    adult = "39, State-gov, 77516, <=50K\n50, Self-emp, 83311, <=50K\n" * 3 + "8, x, 2, >50K\n" * 3
    with pytest.raises(FormatError, match="the first row, '39', 'State-gov'"):
        uploaded(tmp_path, adult)
    with pytest.raises(PredictionError, match="a row has 4 cells; without a header it has those"):
        text_files.read_table("1,2,3,4\n", ["sepal", "petal"], header)


ESCAPED = {
    'text,label\n"a \\"b\\" c",pos\n"x, \\"y\\"",neg\nC:\\new,pos\n': [
        'a "b" c',
        'x, "y"',
        "C:\\new",
    ],
    "text;label\na\\; b;pos\nc\\; d;neg\n\\N;neg\n": ["a; b", "c; d", "\\N"],
    'text,label\n"C:\\a\\",pos\n"C:\\b\\",neg\nd,pos\n': ["C:\\a\\", "C:\\b\\", "d"],
}


@pytest.mark.parametrize("content", ESCAPED)
def test_a_backslash_escapes_where_the_file_shows_it(content: str, tmp_path: Path) -> None:
    table = uploaded(tmp_path, content)
    assert cells(table)["text"] == ESCAPED[content]
    assert cells(table)["label"] == [row[-3:] for row in content.split("\n")[1:4]]
    is_told = "escapes_guessed" in {remark.code for remark in table.remarks}
    assert is_told == ("C:\\a" not in content)
    assert text_files.read_table(content, ["text"])[0]["text"] == ESCAPED[content]


CUT = (
    "text,label\na, really,pos\nb, no,neg\nc, yes,pos\n",
    "street,city,price\nLow 5, flat 4,Bonn,12\nHigh 5, flat 4,Bonn,13\nEast 1, flat 9,Bonn,14\n",
    "price,label\n12,50,a\n8,25,b\n7,75,a\n",
    "name,age\nDoe,John,30\nRoe,Jane,31\nPoe,Joe,32\n",
    "x,label\na,b,pos\na,c,neg\n",
)


@pytest.mark.parametrize("content", CUT)
def test_a_text_cut_by_a_comma_is_no_name_of_a_row(content: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"row 2 has . cells, the header .: .* stands in quotes"):
        uploaded(tmp_path, content)
    with pytest.raises(PredictionError, match=r"row 2 has . cells, the header"):
        text_files.read_table(content, content.partition("\n")[0].split(",")[:-1])


@pytest.mark.parametrize("separator", [";", "\t", " "])
def test_decimal_commas_divide_no_cells(separator: str, tmp_path: Path) -> None:
    rows = [["1,5", "20,25", "a"], ["2,5", "3,5", "b"], ["4,5", "1,5", "a"]]
    content = "\n".join(map(separator.join, rows))
    table = uploaded(tmp_path, content, header=False)
    assert list(zip(*cells(table).values(), strict=True)) == list(map(tuple, rows))
    assert table.decimal == ","
    header = {"columns": ["x", "n", "label"], "targets": ["label"]}
    assert text_files.read_table(content, ["x", "n"], header)[0]["n"] == ["20,25", "3,5", "1,5"]


def test_rows_in_the_middle_with_too_few_cells_are_refused(tmp_path: Path) -> None:
    for below in ("a,b\n1,2,c\n", "\na,b\n1,2,c\n", "5,6\n", "5,6\n\n"):
        with pytest.raises(ValueError, match=r"row [67]"):
            uploaded(tmp_path, lines() + below)
    with pytest.raises(ValueError, match="row 2"):
        uploaded(tmp_path, 'x,n,label\n"1.5,7,a"\n"2.5,8,b"\n')


def test_a_long_cell_is_read_in_both(tmp_path: Path) -> None:
    content = f"x,n,label\n1,{'w' * 150_000},a\n2,b,b\n"
    assert cells(uploaded(tmp_path, content))["n"] == predicted(content)["n"]


def test_letters_with_accents_are_one_name_however_they_are_put_together(tmp_path: Path) -> None:
    apart, one = (unicodedata.normalize(form, "Größe") for form in ("NFD", "NFC"))
    rows = "1,a\n2,b\n4,a\n"
    for header, wanted in ((apart, one), (one, apart)):
        table = uploaded(tmp_path, f"{header},y\n{rows}", target="y", columns={wanted: "number"})
        assert list(table.texts) == [one, "y"]
        found, _ = text_files.read_table(f"{header},y\n{rows}", [wanted])
        assert found == {wanted: ["1", "2", "4"], "y": ["a", "b", "a"]}
    twice = uploaded(tmp_path, f"{apart},{one},y\n1,2,a\n3,4,b\n")
    assert list(twice.texts) == [one, f"{one}.1", "y"]
    assert [remark.code for remark in twice.remarks] == ["repeated_name"]
    assert Options(target=apart).targets == (one,)


HEADERS = {
    "0,1,2": ".5,2,3\n.7,5,6\n",
    "3,2,1": ".5,2,3\n.7,5,6\n",
    "country,1990,1991": "A,1,2\nB,3,4\nC,5,6\n",
    "country,2020": "A,1\nB,2\nB,3\n",
    "c,2020-01,2020-02": "A,1,2\nB,2,3\nB,2,3\n",
    "01.01.2020,02.01.2020,k": "5,6,a\n7,8,b\n7,8,b\n",
    "red,blue,x": "red,,1\n,blue,2\nred,blue,3\n",
    "red,blue": "red,\n,blue\nred,\nred,blue\n",
    "when,x,y": "12:30,1,7\n12:31,2,9\n",
    "150,4,setosa,other": "5.1,3.5,1.4,0\n4.9,3.0,1.4,0\n",
    "text,label": "a good one,pos\na bad one,neg\nnothing,neg\n",
    ",".join(["s", *(f"{400 + i / 2}" for i in range(20))]): f"a{',0.5' * 20}\n" * 3,
}  # fmt: skip
DATA = {
    "1,22,350,a": "2,33,100,b\n3,22,90,a\n4,1,1,b\n",
    "6,148,72,1": "1,85,66,0\n8,183,64,1\n",
    "2024-01-01,1": "2024-01-02,2\n2024-01-03,2\n",
    "a good one,1": "a bad one,0\nso so,1\nnothing,1\n",
    "p,x,s": "p,x,s\ne,x,y\np,b,s\np,x,s\n",
}  # fmt: skip


@pytest.mark.parametrize("first", [*HEADERS, *DATA])
def test_a_first_row_is_a_header_or_data(first: str, tmp_path: Path) -> None:
    if first in HEADERS:
        assert list(uploaded(tmp_path, f"{first}\n{HEADERS[first]}").texts) == first.split(",")
        return
    with pytest.raises(FormatError, match="looks like one of data"):
        uploaded(tmp_path, f"{first}\n{DATA[first]}")


def test_a_row_with_the_names_that_somebody_gives_is_the_header(tmp_path: Path) -> None:
    table = uploaded(tmp_path, "6,148,1\n1,85,0\n8,183,1\n", target="148")
    assert [remark.code for remark in table.remarks] == ["header_guessed"]


def test_a_column_without_a_name_is_called_by_its_place(tmp_path: Path) -> None:
    content = lines(header="x,,label")
    table = uploaded(tmp_path, content)
    assert cells(table)["column_2"] == PLAIN["n"]
    assert [(r.code, r.where) for r in table.remarks] == [("unnamed_columns", "column_2")]
    found, _ = text_files.read_table(content, ["x", "column_2"])
    assert found["column_2"] == PLAIN["n"]
    assert "column_2" not in text_files.read_table(content, ["x"])[0], "as nobody asks for it"


def test_names_that_are_there_twice_are_told_apart(tmp_path: Path) -> None:
    content = "x,n,x,X,label\n1,2,3,4,a\n5,6,7,8,b\n"
    table = uploaded(tmp_path, content, target="label")
    assert list(table.texts) == ["x", "n", "x.1", "X", "label"]
    assert {r.code: r.where for r in table.remarks} == {"repeated_name": None, "similar_names": "X"}
    found, _ = text_files.read_table(content, ["x", "x.1"])
    assert found["x.1"] == ["3", "7"]
    with pytest.raises(ValueError, match="got 'x' twice"):
        uploaded(tmp_path, content, target="x")


def test_an_encoding_that_is_not_that_of_the_file_is_told_or_refused(tmp_path: Path) -> None:
    content = "x,n,label\n1,größe,a\n2,é,b\n".encode()
    for encoding in ("cp1252", "cp1250"):
        (remark,) = uploaded(tmp_path, content, encoding=encoding).remarks
        assert remark.code == "encoding_doubtful" and "UTF-8 would read 'größe'" in remark.message
    assert not uploaded(tmp_path, "x,n,label\n1,é,a\n".encode("cp1252"), encoding="cp1252").remarks
    with pytest.raises(ValueError, match=r"the file is no utf-16: .* does not start with BOM"):
        uploaded(tmp_path, lines(), encoding="utf-16")


def test_names_that_are_read_as_data_are_told(tmp_path: Path) -> None:
    for header in (False, ["a", "b", "c"]):
        told = {r.code: r.message for r in uploaded(tmp_path, lines(), header=header).remarks}
        assert "has 'x' above values" in told["names_in_data"]
        assert uploaded(tmp_path, lines().split("\n", 1)[1], header=header).remarks == []


def test_latin_1_is_that_of_windows(tmp_path: Path) -> None:
    content = "x,n,label\n1,“a” \u2013 5 €,a\n2,é,b\n".encode("cp1252")
    table = uploaded(tmp_path, content, encoding="latin-1")
    assert cells(table)["n"] == ["“a” \u2013 5 €", "é"]
    assert [remark.code for remark in table.remarks] == ["encoding_guessed"]
    assert text_files.decoded((tmp_path / "file.csv").read_bytes(), "latin-1") == content.decode(
        "cp1252"
    )
    assert uploaded(tmp_path, "x,n\n1,é\n".encode("latin-1"), encoding="latin-1").remarks == []


@pytest.mark.parametrize("encoding", ["utf-32", "utf-32-le", "utf-32-be"])
def test_utf_32_is_read(encoding: str, tmp_path: Path) -> None:
    table = uploaded(tmp_path, lines().encode(encoding))
    assert cells(table) == PLAIN
    assert [remark.code for remark in table.remarks] == ["encoding_guessed"]
    assert text_files.decoded((tmp_path / "file.csv").read_bytes(), "utf-8") == lines()


@pytest.mark.parametrize(
    ("text", "encoding", "name"),
    [
        ("Zürich,Köln", "cp1252", "latin-1"), ("“so” \u2013 5 €, it\u2019s", "cp1252", "latin-1"),
        ("Москва,Россия", "cp1251", "cp1251"), ("Москва,Россия", "koi8_r", "koi8_r"),
        ("Łódź,Gdańsk", "cp1250", "cp1250"), ("名前,とても良い", "cp932", "cp932"),
        ("名前,とても良い", "euc_jp", "euc_jp"), ("这个东西很好用", "gbk", "gbk"),
        ("這個東西很好用", "big5", "big5"), ("이것은 좋은 제품", "euc_kr", "euc_kr"),
    ],
)  # fmt: skip
def test_an_encoding_is_suggested_with_what_it_would_read(
    text: str, encoding: str, name: str, tmp_path: Path
) -> None:
    (first, words), *_ = suggested_encodings(text.encode(encoding))
    assert first == name and words in text
    with pytest.raises(ValueError, match=rf'row 2: byte \d+ is no utf-8; .* "{name}", which reads'):
        uploaded(tmp_path, f"x,y\n{text}\n".encode(encoding))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"PK\x03\x04....[Content_Types].xml", "a workbook of Excel"),
        (b"\x1f\x8b\x08", "compressed with gzip"), (b"%PDF-1.7", "a PDF"),
        (b"<!DOCTYPE html><html>", "a page in HTML"), (b"<?xml version", "XML"),
        (b'[{"x": 1}]', "JSON"), (b'{"x": 1}\n{"x": 2}\n', "JSON"),
        (b"\xd0\xcf\x11\xe0", "an old document"), (b"SQLite format 3\0", "an SQLite database"),
        (b"% by me\n@RELATION iris\n\n@ATTRIBUTE x NUMERIC\n@DATA\n1\n", "an ARFF file"),
        (b"+1 1:0.5 3:2e-1\n-1 2:7\n", "a file of LIBSVM"),
        (b"version https://git-lfs", "a pointer of Git LFS"),
        (b"x\0y,123\n" * 9, "it holds NUL bytes"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_called_by_its_name(content: bytes, what: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=what):
        read(tmp_path, content, "tabular_classification", target="y")
    with pytest.raises(PredictionError, match=what):
        text_files.check_is_table("file", content)


def test_a_table_is_nothing_else() -> None:
    for text in ("x,y\n1,2\n", "[x],[y]\n", "{x};{y}\n", "", "<x>,<y>\n"):
        assert foreign(text.encode()) is None


RAW = [["he said", "a"], ['"hi there', "b"], ['"', "a"], ['"hi" again', "b"], ["the end", "a"]]


@pytest.mark.parametrize("lone", [1, 2, 3, 4, 5])
def test_a_quote_that_begins_a_cell_between_tabs_swallows_no_rows(
    lone: int, tmp_path: Path
) -> None:
    rows = RAW * lone  # an even and an odd number of quotes
    content = "text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows)
    table = uploaded(tmp_path, content)
    assert cells(table) == {"text": [t for t, _ in rows], "label": [name for _, name in rows]}
    assert "quotes_guessed" in {remark.code for remark in table.remarks}
    found, _ = text_files.read_table(content, ["text"])
    assert [text.strip() for text in found["text"]] == [text for text, _ in rows]


def test_cells_in_quotes_between_tabs_are_read_as_ever(tmp_path: Path) -> None:
    content = 'text\tlabel\n"a\tb"\tx\n"two\nlines"\ty\n"say ""hi"""\tx\n"d"\ty\n'
    table = uploaded(tmp_path, content)
    assert cells(table)["text"] == ["a\tb", "two\nlines", 'say "hi"', "d"]
    assert "quotes_guessed" not in {remark.code for remark in table.remarks}
