"""The date that one cell of a table shows, as people write dates. The same text runs in a bundle:
nothing here needs more than the standard library.
"""

from __future__ import annotations

import datetime
import math
import re
import unicodedata


def date_of(text: str, order: str = "dmy") -> datetime.datetime | None:
    """The local time that a cell shows: ISO 8601, or day, month and year in `order` (`dmy`, `mdy`,
    `ymd`), or with the month's name; a month alone is its first day, and so is a quarter, a week
    its Monday. `buddhist_` before an order: years of four digits are 543 more. An order may say
    instead that dates are numbers: `seconds`, `milliseconds`, `microseconds` or `nanoseconds` since
    1970, or `excel`, days as a spreadsheet counts them. None where it shows none. A zone is left
    out.
    """
    text = text.strip()
    era = 543 if order.startswith("buddhist_") else 0
    order = order.removeprefix("buddhist_")
    if order == "excel" or order.endswith("seconds"):
        return numbered_date(text, order)
    usual = r"(\d{1,4})([-/.])(\d{1,2})\2(\d{1,4})(?:[T ,]+(.+))?"
    match = re.fullmatch(usual, text)
    if match is None:
        text = tidied_date(text)
        if order == "ymd":
            text = day_of_year(re.sub(r"^((?:19|20)\d{2})(\d{3})$", r"\1-\2", text))
        match = re.fullmatch(usual, text)
        for compact in (r"(\d{1,2})()(\d{2})((?:19|20)\d{2})", r"(\d{4})()(\d{2})(\d{2})"):
            match = match or re.fullmatch(rf"{compact}(?:[T ]+(.+))?", text)
    if match:
        first, middle, last = match.group(1), match.group(3), match.group(4)
        if len(first) == 4 or (order == "ymd" and len(first) == len(last) == 2):
            year, month, day_of = first, middle, last
        elif len(last) in (2, 4):
            day_of, month = (middle, first) if order == "mdy" else (first, middle)
            year = last
        else:
            return None
        clock = match.group(5)
    elif (named := named_date(text)) is not None:
        year, month, day_of, clock = named
    else:
        return None
    seconds = seconds_of_day(clock) if clock else 0
    if seconds is None:
        return None
    years = int(year) + (-era if len(year) == 4 else 1900 if int(year) > 68 else 2000)
    try:
        midnight = datetime.datetime(years, int(month), int(day_of))
        return midnight + datetime.timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        return None


def tidied_date(text: str) -> str:
    """A date that is written in numbers in a less usual way, as year, month and day; any other text
    as it is.
    """
    text = re.sub(r"^(\d{1,2})\. ?(\d{1,2})\. ?(\d{4})", r"\1.\2.\3", text)
    eras = {"\u4ee4\u548c": 2018, "\u5e73\u6210": 1988, "\u662d\u548c": 1925, "\u5927\u6b63": 1911}
    if era := re.match(rf"({'|'.join(eras)})(\d{{1,2}}|\u5143)(?=\u5e74)", text):
        year = eras[era[1]] + (1 if era[2] == "\u5143" else int(era[2]))
        text = f"{year}{text[era.end() :]}"
    text = re.sub(r"^(\d{4})[年년] ?(\d{1,2})[月월] ?(\d{1,2})[日일] ?", r"\1-\2-\3 ", text).strip()
    text = re.sub(r"^(\d{4})\. ?(\d{1,2})\. ?(\d{1,2})\.?(?=\s|$)", r"\1-\2-\3", text)
    text = re.sub(r"^(\d{4})[-/](\d{1,2})$", r"\1-\2-1", text)
    text = re.sub(r"^(\d{1,2})/(\d{4})$|^(0\d|1[0-2])\.((?:19|20)\d\d)$", r"\2\4-\1\3-1", text)
    text = day_of_year(re.sub(r"^(\d{7,8})\.0$", r"\1", text))
    text = re.sub(r"^(\d{8})[T ]?(\d{2})(\d{2})(?!\d)", r"\1 \2:\3", text)
    text = re.sub(r"^(\d{8})[T ]?(\d{2})(\d{2})(\d{2})(?!\d)", r"\1 \2:\3:\4", text)
    text = re.sub(r"^((?:19|20)\d{6})[T ]?(\d{2})$", r"\1 \2:00", text)
    text = re.sub(r"(?i)^(?:q([1-4])|([1-4])q)[-/ ]?'?(\d{4})$", r"\3-q\1\2", text)
    if short := re.fullmatch(r"(?i)(?:q([1-4])|([1-4])q)[-/ ]?'?(\d{2})", text):
        text = f"{19 if int(short[3]) > 68 else 20}{short[3]}-q{short[1] or short[2]}"
    if part := re.fullmatch(r"(?i)(\d{4})[- ]?q([1-4])", text):
        text = f"{part[1]}-{3 * int(part[2]) - 2}-1"
    if part := re.fullmatch(r"(?i)(\d{4})[- ]?[hs]([12])|[hs]([12])[-/ ]?(\d{4})", text):
        text = f"{part[1] or part[4]}-{6 * int(part[2] or part[3]) - 5}-1"
    text = re.sub(r"(?i)^(\d{4})-?m(\d\d)$", r"\1-\2-1", text)
    text = re.sub(r"(?i)^(?:kw|week|wk|w)[ .-]?(\d{1,2})[-/, ]+(\d{4})$", r"\2-w\1", text)
    if part := re.fullmatch(
        r"(?i)(\d{4})[- /]?(?:w|kw|week|wk)[ .-]?(\d{1,2})(?:-?([1-7]))?", text
    ):
        try:
            day = datetime.date.fromisocalendar(int(part[1]), int(part[2]), int(part[3] or 1))
        except ValueError:
            return text
        text = day.isoformat()
    return text


def day_of_year(text: str) -> str:
    """A date that begins as 2024-035 does, with its month and day; any other text as it is."""
    found = re.match(r"(\d{4})-(\d{3})(?=[T ]|$)", text)
    if found is None or not 1 <= int(found[2]) <= 366 or found[1] == "0000":
        return text
    date = datetime.date(int(found[1]), 1, 1) + datetime.timedelta(days=int(found[2]) - 1)
    return date.isoformat() + text[found.end() :] if date.year == int(found[1]) else text


def numbered_date(text: str, order: str) -> datetime.datetime | None:
    """The date that a number stands for."""
    try:
        number = float(text.replace(",", "."))
        if order == "excel":
            seconds = round(number * 86_400)
            return datetime.datetime(1899, 12, 30) + datetime.timedelta(seconds=seconds)
        parts = {"seconds": 1e0, "milliseconds": 1e3, "microseconds": 1e6, "nanoseconds": 1e9}
        seconds = math.floor(number / parts[order])
        return datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        return None


def named_date(text: str) -> tuple[str, str, str, str | None] | None:
    """Year, month and day, and what stands behind them, of a date with the month's name in one of
    a dozen languages.
    """
    month = r"([^\W\d_]{3,})\.?"
    day = r"(\d{1,2})(?:st|nd|rd|th|er|re|[ºª°])?"
    behind = r"(?:[T ,:]+(.+))?"
    if found := re.fullmatch(
        rf"(?i){day}\.?[-/ ]*(?:de |d'|of )?{month}[-/,' ]*(?:del? )?(\d{{4}}|\d{{2}}){behind}",
        text,
    ):
        number, word, year, clock = found.groups()
    elif found := re.fullmatch(rf"(?i){month} +{day},? +(\d{{4}}){behind}", text):
        word, number, year, clock = found.groups()
    elif found := re.fullmatch(rf"(?i){month} +{day} +(\d\d?:\d\d\S*)(?: \S+)? (\d{{4}})", text):
        word, number, clock, year = found.groups()
    elif found := re.fullmatch(rf"(?i){month}[-/,' ]+(?:del? )?(\d{{4}}|\d{{2}})", text):
        (word, year), number, clock = found.groups(), "1", None
    else:
        word = ""
    if (place := month_of(word)) is not None:
        return year, str(place), number, clock
    weekday = re.match(r"([^\W\d_]{2,})\.?,?\s+", text)
    return named_date(text[weekday.end() :]) if weekday and is_weekday(weekday[1]) else None


def month_of(word: str) -> int | None:
    """The number of a month by its name or the usual short form of it, accents or none; None of
    any other word.
    """
    letters = unicodedata.normalize("NFKD", word.lower().replace("ł", "l").replace("\u0131", "i"))
    plain = "".join(c for c in letters if not unicodedata.combining(c))
    names = (
        "january januar janner januari janvier janv enero ene gennaio gen janeiro styczen stycznia "
        "sty январь января янв ocak oca",
        "february februar februari fevrier fevr fev febrero febbraio fevereiro luty lutego lut "
        "февраль февраля фев subat sub",
        "march marz maerz mrz maart mrt mars marzo marco marzec marca март марта mart",
        "april avril avr abril abr aprile kwiecien kwietnia kwi апрель апреля nisan nis",
        "may mai mei maj mayo maggio mag maio maja май маи мая mayis",
        "june juni juin junio giugno giu junho czerwiec czerwca cze июнь июня июн haziran haz",
        "july juli juillet juil julio luglio lug julho lipiec lipca lip июль июля июл temmuz tem",
        "august augustus augusti aout aou agosto ago sierpien sierpnia sie август августа авг "
        "agustos agu",
        "september sept septembre septiembre settembre set setembro wrzesien wrzesnia wrz сентябрь "
        "сентября сен сент eylul eyl",
        "october oktober okt octobre octubre ottobre ott outubro out pazdziernik pazdziernika paz "
        "октябрь октября окт ekim eki",
        "november novembre noviembre novembro listopad listopada lis ноябрь ноября ноя нояб kasim "
        "kas",
        "december dezember dez desember des decembre diciembre dic dicembre dezembro grudzien "
        "grudnia gru декабрь декабря дек aralik ara",
    )
    for place, known in enumerate(names, 1):
        words = known.split()
        if plain in words or plain == words[0][:3]:
            return place
    return None


def is_weekday(word: str) -> bool:
    """Whether a word begins as a day of the week does in English, or another Western language."""
    stems = (
        "mon tue wed thu fri sat sun mo di mi do fr sa so die mit don fre sam son lun mar mer jeu "
        "ven dim mie mié jue vie sab sáb dom gio seg ter qua qui sex maa din woe vri zat zon"
    )
    word = word.lower()
    return (word if len(word) < 3 else word[:3]) in stems.split()


def seconds_of_day(clock: str) -> int | None:
    """The whole seconds of a time of day, with a zone behind it or none; None of another text."""
    zone = (
        r"(?:z|utc|gmt|mesz?|mez|msk|[a-z]{1,4}t|[a-z]+(?:/[a-z_]+){1,2}|"
        r"(?:utc|gmt)? ?[-+]\d{2}:?(?:\d{2})?)"
        r"(?: ?[\[(].*[\])])?"
    )
    found = re.fullmatch(
        r"(?i)(\d{1,2})(?:[:.h](\d{2})(?:[:.](\d{2})(?:[.,]\d+)?)?|(?=\s*[ap]\.?m)|(?<=\d\d))"
        rf"\s*(?:([ap])\.?\s?m(?![a-z])\.?|uhr|h)?\s*(?:{zone})?",
        re.sub("(?<=[\\d])[時时시分분] ?(?=\\d)", ":", clock.strip()).rstrip("分분秒초"),
    )
    if not found:
        return None
    hour, minute, second = int(found[1]), int(found[2] or 0), int(found[3] or 0)
    if found[4]:
        hour = hour % 12 + (12 if found[4].lower() == "p" else 0)
    if hour > 24 or minute > 59 or second > 59 or (hour == 24 and minute + second):
        return None
    return hour * 3600 + minute * 60 + second


def date_parts(date: datetime.datetime, origin: float, has_time: bool) -> list[float]:
    """Days since `origin` (days since 1970), year, season as a circle, weekday (0 is Monday), and
    where `has_time` the hour as a circle.
    """
    seconds = (date - datetime.datetime(1970, 1, 1)).total_seconds()
    turn = 2 * math.pi * date.timetuple().tm_yday / 365.25
    parts = [seconds / 86_400 - origin, float(date.year), math.sin(turn), math.cos(turn)]
    if has_time:
        turn = 2 * math.pi * (seconds % 86_400) / 86_400
        parts += [math.sin(turn), math.cos(turn)]
    return [*parts, float(date.weekday())]
