"""Errors planted into clean tables, cell by cell, written without looking at how they are found."""

import string

import numpy as np
import pandas as pd

ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm", "1234567890")
BESIDE = {c: row[max(0, i - 1) : i] + row[i + 1 : i + 2] for row in ROWS for i, c in enumerate(row)}
KINDS = ("typo", "swap", "marker", "format", "unit", "outlier", "misplaced", "case", "space")


def _typo(value: str, rng: np.random.Generator) -> str:
    places = [i for i, c in enumerate(value) if c.lower() in BESIDE and c not in string.digits]
    if not places:
        return value
    at, kind = int(rng.choice(places)), rng.integers(4)
    if kind == 0:
        return value[:at] + value[at + 1 :]
    if kind == 1:
        return value[:at] + value[at] + value[at:]
    if kind == 2 and at + 1 < len(value):
        return value[:at] + value[at + 1] + value[at] + value[at + 2 :]
    return value[:at] + str(rng.choice(list(BESIDE[value[at].lower()]))) + value[at + 1 :]


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _format(value: str, rng: np.random.Generator) -> str:
    if _number(value) is not None:
        return value.replace(".", ",") if "." in value else str(rng.choice([f"#{value}", f"{value}.", f"'{value}"]))
    if len(value) == 10 and value[4:5] == value[7:8] == "-":
        return f"{value[8:]}/{value[5:7]}/{value[:4]}"
    return f"{value};" if value else value


def plant_cell(kind: str, frame: pd.DataFrame, row: int, column: int, rng: np.random.Generator) -> str:
    """Return what stands in the cell after an error of this kind; the same value when it cannot be made here."""
    value = frame.iat[row, column]
    number = _number(value)
    if kind == "marker":
        return str(rng.choice(["N/A", "?", "NULL", "nan", "-"]))
    if kind == "swap":
        return frame.iat[int(rng.integers(len(frame))), column]
    if kind == "misplaced":
        return frame.iat[row, int(rng.integers(frame.shape[1]))]
    if kind == "format":
        return _format(value, rng)
    if kind == "space":
        return str(rng.choice([f" {value}", f"{value} ", value.replace(" ", "  ", 1)]))
    if kind in ("unit", "outlier"):
        if number is None or not np.isfinite(number):
            return value
        if kind == "outlier":
            return f"{number * float(rng.choice([10, 100])):g}"
        return value + str(rng.choice([" kg", "%", " USD", "cm"]))
    if number is not None:
        return value
    return _typo(value, rng) if kind == "typo" else str(rng.choice([value.upper(), value.lower(), value.swapcase()]))


def plant(frame: pd.DataFrame, share: float, *, seed: int = 0, kinds: tuple[str, ...] = KINDS) -> tuple[pd.DataFrame, np.ndarray]:
    """Plant errors into a share of the cells of a table of text, equally of every kind; returns the table and where which kind is."""
    rng = np.random.default_rng(seed)
    dirty, where = frame.copy(), np.full(frame.shape, "", dtype=object)
    each = max(1, round(share * frame.size / len(kinds)))
    for kind in kinds:
        made = 0
        for _ in range(each * 30):
            row, column = int(rng.integers(len(frame))), int(rng.integers(frame.shape[1]))
            if where[row, column]:
                continue
            value = plant_cell(kind, frame, row, column, rng)
            if value != frame.iat[row, column]:
                dirty.iat[row, column], where[row, column], made = value, kind, made + 1
            if made == each:
                break
    return dirty, where


def times_of_day(*, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """The same trips told by many sources that disagree, forget, and write times in other forms."""
    rng = np.random.default_rng(seed)
    clock = lambda m: f"{(m // 60 - 1) % 12 + 1}:{m % 60:02d} {'a.m.' if m % 1440 < 720 else 'p.m.'}"  # noqa: E731
    rows, wrong = [], []
    for _ in range(80):
        name = f"{rng.choice(['AA', 'UA', 'CO'])}-{rng.integers(10, 4000)}-{rng.choice(['ORD', 'JFK', 'MIA', 'LAX'])}-{rng.choice(['SFO', 'PHX', 'DEN'])}"
        true = np.sort(rng.integers(300, 1380, 4))
        for source in range(30):
            told, bad = [f"src{source}", name], [False, False]
            for t in true:
                u = rng.random()
                value = clock(int(t))
                if u < 0.12:
                    value = ""
                elif u < 0.22:
                    value = clock(int(t + rng.integers(1, 40)))
                elif u < 0.27:
                    value = f"12/02/2011 {value}"
                told.append(value)
                bad.append(value != clock(int(t)))
            rows.append(told)
            wrong.append(bad)
    return pd.DataFrame(rows, columns=["src", "trip", "plan_out", "out", "plan_in", "in"]), np.array(wrong)


def tax_payers(*, seed: int = 0, rows: int = 2000) -> tuple[pd.DataFrame, np.ndarray]:
    """People with places that determine each other, sums of money and rates in other forms, marks for absent values."""
    rng = np.random.default_rng(seed)
    states = ["CA", "NY", "TX", "WA", "OH", "FL", "MA", "CO"]
    zips = {
        f"{rng.integers(1000, 99999):05d}": (
            int(rng.integers(8)),
            f"{rng.choice(['NORTH', 'GREEN', 'OAK', 'LAKE', 'MILL'])}{rng.choice(['VILLE', 'TON', 'FIELD', 'PORT'])} {i}",
        )
        for i in range(120)
    }
    codes, firsts = list(zips), ["Anna", "Boris", "Chen", "Dora", "Emil", "Fatima", "Goran", "Hanna", "Ivo", "Jana", "Karl"]
    sex = {f: "F" if f in ("Anna", "Dora", "Fatima", "Hanna", "Jana") else "M" for f in firsts}
    clean = []
    for _ in range(rows):
        z, f = str(rng.choice(codes)), str(rng.choice(firsts))
        s = zips[z][0]
        married = rng.choice(["S", "M"])
        kids = rng.choice(["Y", "N"])
        salary = int(rng.integers(1, 200)) * 500
        clean.append(
            [
                f,
                "".join(rng.choice(list("abcdefghiklmnorstu"), 7)).title(),
                sex[f],
                f"{200 + 7 * s + rng.integers(3)}",
                f"{rng.integers(100, 999)}-{rng.integers(1000, 9999)}",
                zips[z][1],
                states[s],
                z,
                married,
                kids,
                str(salary),
                f"{[0, 7, 0, 0, 5, 0, 5.3, 4.63][s]:g}",
                str(1000 * s + (500 if kids == "Y" else 0)),
            ]
        )
    names = [
        "f_name",
        "l_name",
        "gender",
        "area",
        "phone",
        "city",
        "state",
        "zip",
        "marital",
        "child",
        "salary",
        "rate",
        "exemption",
    ]
    frame = pd.DataFrame(clean, columns=names)
    dirty, wrong = frame.copy(), np.zeros(frame.shape, bool)
    for i in range(rows):
        u = rng.random()
        if u < 0.03:
            j, value = 6, str(rng.choice(states))
        elif u < 0.05:
            j, value = 5, frame.iat[i, 5] + "-*"
        elif u < 0.07:
            j, value = 7, frame.iat[i, 7].lstrip("0")[:4]
        elif u < 0.10:
            j, value = 11, frame.iat[i, 11] + (".0%" if rng.random() < 0.5 else ".000")
        elif u < 0.12:
            j, value = 2, "M" if frame.iat[i, 2] == "F" else "F"
        elif u < 0.14:
            j, value = 0, frame.iat[i, 0] + "'" + str(rng.choice(list("xyz")))
        else:
            continue
        wrong[i, j] = value != frame.iat[i, j]
        dirty.iat[i, j] = value
    return dirty, wrong


def articles(*, seed: int = 0, rows: int = 1000) -> tuple[pd.DataFrame, np.ndarray]:
    """Bibliographic records: journals with abbreviations and ISSNs, dates in another order, pages shortened, markers."""
    rng = np.random.default_rng(seed)
    words = [
        "Heart",
        "Care",
        "Clinical",
        "Surgery",
        "Medicine",
        "Trials",
        "Health",
        "Cancer",
        "Kidney",
        "Nursing",
        "Pain",
        "Sleep",
    ]
    journals = {}
    for _ in range(60):
        a, b = rng.choice(words, 2, replace=False)
        journals[f"{a} and {b} {rng.choice(['Journal', 'Review', 'Letters'])}"] = (
            f"{a[:4]}. {b[:4]}.",
            f"{rng.integers(1000, 9999)}-{rng.integers(1000, 9999)}",
        )
    clean = []
    for i in range(rows):
        j = str(rng.choice(list(journals)))
        p = int(rng.integers(1, 900))
        clean.append(
            [
                str(i + 1),
                " ".join(rng.choice(words, 6)) + f" in {rng.integers(2, 90)} cases",
                "eng" if rng.random() < 0.95 else "fre",
                j,
                *journals[j],
                f"{rng.integers(1, 12)}/{rng.integers(1, 28)}/{rng.integers(60, 99)}",
                str(rng.integers(1, 60)),
                str(rng.integers(1, 12)),
                f"{p}-{p + rng.integers(1, 12)}",
            ]
        )
    frame = pd.DataFrame(
        clean, columns=["id", "title", "language", "journal", "abbreviation", "issn", "created", "volume", "issue", "pages"]
    )
    dirty, wrong = frame.copy(), np.zeros(frame.shape, bool)
    for i in range(rows):
        for j in range(2, 10):
            if rng.random() > 0.05:
                continue
            v = frame.iat[i, j]
            month, day, year = v.split("/") if j == 6 else ("", "", "")
            late = f"{v.split('-')[0]}-{rng.choice(['Jan', 'Feb', 'Mar'])}"
            forms = {
                2: "",
                3: v[:-3] + v[-1],
                4: v.replace(".", ""),
                5: v.replace("-", ""),
                6: f"19{year}-{month}-{day}",
                7: "-1",
                8: "",
                9: late,
            }
            value = forms[j]
            dirty.iat[i, j], wrong[i, j] = value, value != v
    return dirty, wrong


def films(*, seed: int = 0, rows: int = 1500) -> tuple[pd.DataFrame, np.ndarray]:
    """Films with durations, dates, ratings and votes of which some are written otherwise."""
    rng = np.random.default_rng(seed)
    names = ["Ana", "Bob", "Cid", "Dan", "Eve", "Fay", "Gus", "Hal", "Ida", "Jon"]
    last = ["Stone", "Rivers", "Hill", "Marsh", "Woods", "Field"]
    clean = []
    for _ in range(rows):
        year = int(rng.integers(1950, 2016))
        clean.append(
            [
                f"tt{rng.integers(10**6, 10**7)}",
                " ".join(rng.choice(["Night", "Day", "Lost", "City", "Blue", "Last", "Road", "Dream", "2", "War"], 3)),
                str(year),
                f"{rng.integers(1, 29)} {rng.choice(['March', 'May', 'June', 'October'])} {year} (USA)",
                f"{rng.choice(names)} {rng.choice(last)}",
                f"{rng.integers(70, 190)} min",
                str(rng.choice(["USA", "UK", "France", "Canada"], p=[0.7, 0.15, 0.1, 0.05])),
                "English" if rng.random() < 0.9 else "French",
                f"{rng.uniform(2, 9.5):.1f}",
                f"{rng.integers(5, 900):,}",
            ]
        )
    frame = pd.DataFrame(
        clean, columns=["id", "name", "year", "released", "director", "duration", "country", "language", "rating", "votes"]
    )
    dirty, wrong = frame.copy(), np.zeros(frame.shape, bool)
    for i in range(rows):
        for j in (2, 5, 8, 9, 3):
            if rng.random() > 0.05:
                continue
            v = frame.iat[i, j]
            minutes = int(v.split()[0]) if j == 5 else 0
            forms = {
                2: f"{v}.0",
                5: f"{minutes // 60} hr. {minutes % 60} min.",
                8: f"{v}/10",
                9: f"{v} votes",
                3: v.replace(" (USA)", ""),
            }
            value = forms[j]
            dirty.iat[i, j], wrong[i, j] = value, True
    return dirty, wrong


def marked(found: pd.DataFrame, shape: tuple[int, int], columns: list[str]) -> np.ndarray:
    """Where the cells are that were found."""
    named = np.zeros(shape, bool)
    named[found["row"].to_numpy(int), [columns.index(c) for c in found["column"]]] = True
    return named
