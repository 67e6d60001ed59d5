"""Clean splits of real sets, and faults planted in them: for the tests and for `benchmarks/learning.py`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from shared import shared_data

from prodnb.learning import learn
from prodnb.quality import check_quality
from prodnb.roles import Roles

Frame = pd.DataFrame
FOUND = ("failed", "warned", "unknown")  # a finding: somebody has to look


@dataclass(frozen=True)
class RealSet:
    """A real table, and in which order its rows may be cut without a drift."""

    file: str
    roles: Roles = field(default_factory=Roles)
    ordered: bool = False  # nobody claims a drift along its rows: any two stretches are a clean split


SETS = {
    "adult": RealSet("adult/adult.parquet", ordered=True),
    "bike_sharing": RealSet("bike_sharing/hour.parquet", Roles(time="dteday", id="instant")),
    "california_housing": RealSet("california_housing/reference.parquet", Roles(time="timestamp", id="id")),
    "car_loan": RealSet("nannyml_car_loan/reference.parquet", Roles(time="timestamp", id="id"), ordered=True),
    "car_prices": RealSet("nannyml_regression/reference.parquet", Roles(time="timestamp", id="id"), ordered=True),
    "diamonds": RealSet("diamonds/diamonds.parquet"),
    "flights": RealSet("nycflights13/flights.parquet"),
    "german_credit": RealSet("german_credit/german_credit.csv.gz", ordered=True),
    "telco_churn": RealSet("telco_churn/telco_churn.csv.gz", Roles(id="customerID"), ordered=True),
    "taxi": RealSet("nyc_taxi_2019/yellow_2019.parquet"),
}


def read(name: str) -> Frame:
    """The whole set as a frame, its first half where it is known to drift after that."""
    file = shared_data(SETS[name].file)
    frame = pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file)
    if name in ("car_loan", "car_prices"):
        return frame[: len(frame) // 2]
    return frame.assign(**{c: frame[c].astype(str).where(frame[c].notna()) for c in frame if frame[c].dtype == "category"})


def random_split(frame: Frame, seed: int, rows: int = 6000, current: int = 3000) -> tuple[Frame, Frame]:
    """Two samples without a common row, in the order of the table."""
    rng = np.random.default_rng(seed)
    share = min(1.0, len(frame) / (rows + current))
    order = rng.permutation(len(frame))
    n, m = int(rows * share), int(current * share)
    return frame.iloc[np.sort(order[:n])], frame.iloc[np.sort(order[n : n + m])]


def ordered_split(frame: Frame, seed: int, rows: int = 6000, current: int = 3000) -> tuple[Frame, Frame]:
    """Two stretches of neighbouring rows: the current ones come right after the reference."""
    share = min(1.0, len(frame) / (rows + current))
    n, m = int(rows * share), int(current * share)
    start = int(np.random.default_rng(seed).integers(0, len(frame) - n - m + 1))
    return frame.iloc[start : start + n], frame.iloc[start + n : start + n + m]


def splits(frame: Frame, ordered: bool, repeats: int, seed: int = 0) -> Iterator[tuple[str, Frame, Frame]]:
    """Clean splits in turn: half as many current rows as reference rows, few current rows, stretches where no drift is claimed."""
    for k in range(repeats):
        yield "random", *random_split(frame, seed + k)
        yield "small", *random_split(frame, seed + 1000 + k, current=(30, 100, 300)[k % 3])
        if ordered:
            yield "stretches", *ordered_split(frame, seed + 2000 + k)


def findings(reference: Frame, current: Frame, roles: Roles, contract: Any = None) -> list[str]:
    """What somebody has to look at, as `name of column`."""
    contract = learn(reference, roles=roles) if contract is None else contract
    result = check_quality(reference, current, roles=roles, contract=contract)
    return [f"{v.statistic.name} of {v.statistic.about}: {v.outcome}" for v in result.verdicts if v.outcome in FOUND]


# ---- planted faults ----

Plant = Callable[[Frame, np.ndarray], Frame]


@dataclass(frozen=True)
class Fault:
    """A fault of a stated strength: `plant(frame, rows)` gets the frame and a mask of the rows to damage."""

    what: str
    table: str
    column: str  # a finding about it, or about the data set or a relation that names it, counts
    share: float
    plant: Plant


def change(column: str, new: Callable[[pd.Series], Any]) -> Plant:
    """Replace the values of some rows."""

    def plant(frame: Frame, rows: np.ndarray) -> Frame:
        old = frame[column]
        values = new(old)
        values = values if isinstance(values, pd.Series) else pd.Series(values, index=old.index)
        return frame.assign(**{column: values.where(rows, old)})

    return plant


def swap(a: str, b: str) -> Plant:
    """Exchange two columns in some rows."""
    return lambda f, rows: f.assign(**{a: f[b].where(rows, f[a]), b: f[a].where(rows, f[b])})


def shuffled(column: str) -> Plant:
    """Give some rows the value of another row."""
    return change(column, lambda s: s.to_numpy()[np.random.default_rng(7).permutation(len(s))])


def repeated(**new: Callable[[pd.Series], Any]) -> Plant:
    """Append some rows once more, with changes."""
    return lambda f, rows: pd.concat([f, f[rows].assign(**{c: v(f[rows][c]) for c, v in new.items()})], ignore_index=True)


def month_and_day(s: pd.Series) -> pd.Series:
    """Read the month as the day and the day as the month, where that is a date."""
    return pd.to_datetime(s.dt.strftime("%Y-%d-%m %H:%M:%S"), errors="coerce", format="%Y-%m-%d %H:%M:%S").fillna(
        s + pd.Timedelta(days=28)
    )


FAULTS = [
    Fault("unit x10", "diamonds", "price", 0.02, change("price", lambda s: s * 10)),
    Fault("unit x1000", "diamonds", "price", 0.01, change("price", lambda s: s * 1000)),
    Fault("unit / 5", "diamonds", "carat", 0.03, change("carat", lambda s: s / 5)),
    Fault("columns swapped", "diamonds", "x", 0.03, swap("x", "z")),
    Fault("columns swapped", "diamonds", "depth", 0.02, swap("depth", "table")),
    Fault("nulls", "diamonds", "carat", 0.02, change("carat", lambda s: np.nan)),
    Fault("burst of nulls", "diamonds", "x", 0.05, lambda f, r: f.assign(**{c: f[c].where(np.arange(len(f)) >= 0.05 * len(f)) for c in "xyz"})),
    Fault("new level", "diamonds", "cut", 0.01, change("cut", lambda s: "Superb")),
    Fault("upper case", "diamonds", "cut", 0.02, change("cut", lambda s: s.str.upper())),
    Fault("trailing space", "diamonds", "color", 0.02, change("color", lambda s: s + " ")),
    Fault("truncated", "diamonds", "clarity", 0.03, change("clarity", lambda s: s.str[:1])),
    Fault("sentinel -1", "diamonds", "price", 0.01, change("price", lambda s: -1)),
    Fault("sentinel 9999", "diamonds", "depth", 0.01, change("depth", lambda s: 9999.0)),
    Fault("sign", "diamonds", "price", 0.02, change("price", lambda s: -s)),
    Fault("rounded", "diamonds", "carat", 0.05, change("carat", lambda s: s.round(0))),
    Fault("constant", "diamonds", "table", 1.0, change("table", lambda s: 57.0)),
    Fault("rows twice", "diamonds", "dataset", 0.08, repeated()),
    Fault("text in a number", "diamonds", "price", 1.0, lambda f, r: f.assign(price="USD " + f["price"].astype(str))),
    Fault("column renamed", "diamonds", "price", 1.0, lambda f, r: f.rename(columns={"price": "Price"})),
    Fault("order broken", "taxi", "dropoff_datetime", 0.02, change("dropoff_datetime", lambda s: s - pd.Timedelta(hours=3))),
    Fault("parts lost", "taxi", "total_amount", 0.03, change("total_amount", lambda s: s / 3)),
    Fault("columns swapped", "taxi", "pickup_datetime", 0.03, swap("pickup_datetime", "dropoff_datetime")),
    Fault("day and month swapped", "taxi", "dropoff_datetime", 0.03, change("dropoff_datetime", month_and_day)),
    Fault("sentinel 99", "taxi", "passenger_count", 0.01, change("passenger_count", lambda s: 99.0)),
    Fault("cents for dollars", "taxi", "fare_amount", 0.02, change("fare_amount", lambda s: s * 100)),
    Fault("level in lower case", "taxi", "store_and_fwd_flag", 0.02, change("store_and_fwd_flag", lambda s: s.str.lower())),
    Fault("dependency broken", "flights", "dest", 0.03, shuffled("distance")),
    Fault("lower case", "flights", "carrier", 0.03, change("carrier", lambda s: s.str.lower())),
    Fault("truncated", "flights", "tailnum", 0.03, change("tailnum", lambda s: s.str[:3])),
    Fault("a day later", "flights", "time_hour", 0.03, change("time_hour", lambda s: s + pd.Timedelta(days=1))),
    Fault("gap in one of two", "flights", "dep_time", 0.02, change("dep_time", lambda s: np.nan)),
    Fault("encoding", "flights", "origin", 0.02, change("origin", lambda s: s + "Ã©")),
    Fault("seconds for minutes", "flights", "air_time", 0.02, change("air_time", lambda s: s * 60)),
    Fault("text for a missing number", "telco_churn", "TotalCharges", 0.03, change("TotalCharges", lambda s: "N/A")),
    Fault("key used twice", "telco_churn", "customerID", 0.04, repeated(tenure=lambda s: s + 1)),
    Fault("damaged identifier", "telco_churn", "customerID", 0.03, change("customerID", lambda s: s.str[:-2])),
    Fault("columns swapped", "telco_churn", "MonthlyCharges", 0.05, swap("MonthlyCharges", "tenure")),
    Fault("lower case", "telco_churn", "gender", 0.03, change("gender", lambda s: s.str.lower())),
    Fault("dependency broken", "telco_churn", "InternetService", 0.05, shuffled("OnlineSecurity")),
    Fault("sign", "telco_churn", "tenure", 0.03, change("tenure", lambda s: -s - 1)),
    Fault("dependency broken", "adult", "education", 0.03, shuffled("education-num")),
    Fault("unit x10", "adult", "hours-per-week", 0.02, change("hours-per-week", lambda s: s * 10)),
    Fault("sentinel 999", "adult", "age", 0.01, change("age", lambda s: 999)),
    Fault("blank texts", "adult", "native-country", 0.03, change("native-country", lambda s: "")),
    Fault("another spelling", "adult", "class", 0.05, change("class", lambda s: s + ".")),
    Fault("sum broken", "bike_sharing", "registered", 0.03, change("cnt", lambda s: s + 7)),
    Fault("real unit for a share", "bike_sharing", "temp", 0.03, change("temp", lambda s: s * 41)),
    Fault("date moved by a month", "bike_sharing", "dteday", 0.03, change("dteday", lambda s: s + pd.Timedelta(days=31))),
    Fault("rows twice, changed", "bike_sharing", "dteday", 0.03, repeated(cnt=lambda s: s + 1, instant=lambda s: s + 10**6)),
    Fault("rows lost", "bike_sharing", "dteday", 0.5, lambda f, r: f[np.arange(len(f)) % 2 == 0]),
    Fault("rounded", "bike_sharing", "atemp", 0.1, change("atemp", lambda s: s.round(1))),
    Fault("columns swapped", "california_housing", "Latitude", 0.03, swap("Latitude", "Longitude")),
    Fault("unit x1000", "california_housing", "Population", 0.02, change("Population", lambda s: s * 1000)),
    Fault("levels renamed", "car_loan", "salary_range", 0.02, change("salary_range", lambda s: s.str.replace(" ", ""))),
    Fault("infinite", "car_loan", "debt_to_income_ratio", 0.01, change("debt_to_income_ratio", lambda s: np.inf)),
    Fault("nulls", "car_prices", "fuel", 0.02, change("fuel", lambda s: None)),
    Fault("sentinel 0", "car_prices", "price_new", 0.02, change("price_new", lambda s: 0.0)),
]  # fmt: skip


def day_split(frame: Frame, column: str, seed: int) -> tuple[Frame, Frame]:
    """Whole days at random, two thirds of them to the reference."""
    days = frame[column].unique()
    first = np.random.default_rng(seed).random(len(days)) < 2 / 3
    in_reference = frame[column].isin(days[first])
    return frame[in_reference], frame[~in_reference]


def planted(fault: Fault, frame: Frame, seed: int = 0) -> tuple[Frame, Frame]:
    """The reference, and the damaged current rows."""
    by_day = fault.table == "bike_sharing"
    before, now = day_split(frame, "dteday", seed) if by_day else random_split(frame, seed)
    now = now.reset_index(drop=True)
    return before, fault.plant(now, np.random.default_rng(seed + 1).random(len(now)) < fault.share)


def names_it(finding: str, fault: Fault) -> bool:
    """Does a finding speak about the damaged column, or the data set where that is what is damaged?"""
    return fault.column in finding or (fault.column == "dataset" and "rows" in finding)


# ---- faults that nothing was tuned on: other kinds, other columns, other seeds; measured apart ----


def _scattered(column: str, sd: float) -> Plant:
    """Add noise of `sd` standard deviations."""
    return change(column, lambda s: s + np.random.default_rng(11).normal(0, sd * s.std(), len(s)))


def _late(column: str, days: int) -> Plant:
    """Repeat the value of some rows further up: a join that slipped."""
    return change(column, lambda s: s.shift(days))


UNSEEN_FAULTS = [
    Fault("decimal comma lost", "diamonds", "depth", 0.02, change("depth", lambda s: s * 10)),
    Fault("zero for missing", "diamonds", "y", 0.02, change("y", lambda s: 0.0)),
    Fault("join slipped", "flights", "origin", 0.05, _late("distance", 1)),
    Fault("12-hour clock", "flights", "hour", 0.2, change("hour", lambda s: s % 12)),
    Fault("whole hours", "flights", "minute", 0.3, change("minute", lambda s: 0)),
    Fault("null for one level", "telco_churn", "Contract", 1.0, lambda f, r: f.assign(Contract=f["Contract"].where(f["Contract"] != "Two year"))),
    Fault("per year", "telco_churn", "MonthlyCharges", 0.03, change("MonthlyCharges", lambda s: s * 12)),
    Fault("abbreviated", "adult", "marital-status", 0.03, change("marital-status", lambda s: s.str[:3])),
    Fault("leading zero lost", "adult", "fnlwgt", 0.03, change("fnlwgt", lambda s: s // 100)),
    Fault("percent for a share", "bike_sharing", "hum", 0.02, change("hum", lambda s: s * 100)),
    Fault("parts swapped", "bike_sharing", "casual", 0.05, swap("casual", "hr")),
    Fault("noise", "taxi", "total_amount", 0.05, _scattered("total_amount", 0.5)),
    Fault("radians", "california_housing", "Latitude", 0.02, change("Latitude", lambda s: np.radians(s))),
    Fault("currency", "car_prices", "price_new", 0.05, change("price_new", lambda s: s * 110)),
    Fault("tripled rows", "german_credit", "dataset", 0.2, repeated()),
]  # fmt: skip
