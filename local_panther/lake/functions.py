"""The supported functions of Snowflake: parameters, result type and translation to DuckDB.

A function that is not listed is refused. Each is documented at
https://docs.snowflake.com/en/sql-reference/functions/NAME. Names that begin with `sf_` are macros
in `functions.sql`.
"""

from dataclasses import dataclass

from sqlglot import exp

from local_panther.lake import writers
from local_panther.lake.formats import regexp_replace, regexp_substr
from local_panther.lake.kinds import FIXED_TYPES, MOMENTS, Gives, Kind, Type, kind_of
from local_panther.lake.units import datediff, moved, part, sliced, truncated, unit_name
from local_panther.lake.writers import Writer, call

TEXT, INT, FLOAT, BOOL = Type.VARCHAR, Type.BIGINT, Type.DOUBLE, Type.BOOLEAN
MOMENT, ZONED, DATE, TIME = Type.TIMESTAMPNTZ, Type.TIMESTAMPLTZ, Type.DATE, Type.TIME
VARIANT, ARRAY, OBJECT, DECIMAL = Type.VARIANT, Type.ARRAY, Type.OBJECT, Type.DECIMAL


@dataclass(frozen=True)
class Function:
    """A function of Snowflake.

    Attributes:
        takes: A letter for each argument: t(ext), n(umber), i(nteger), b(oolean), m(oment: a date
            or a timestamp), v(ariant), a(ny type), c(ommon: any type, the same for all of these),
            u(nit of time), l(iteral). After a letter, "?" makes it and all later ones optional,
            and "+" allows more of it.
        gives: The type of its result; "same" for that of the first argument, "common" for that of
            all `c` arguments.
        becomes: The name of DuckDB's function, or a function that writes the call; if empty, the
            same name.
    """

    takes: str
    gives: Gives
    becomes: str | Writer = ""

    @property
    def letters(self) -> str:
        """The letters of its arguments, without "?" and "+"."""
        return self.takes.replace("?", "").replace("+", "")

    def letter(self, position: int) -> str:
        """Return the letter of an argument by its position, from 0."""
        return self.letters[min(position, len(self.letters) - 1)]

    def accepts(self, count: int) -> bool:
        """Return whether it accepts a number of arguments."""
        needed, optional, _ = self.takes.partition("?")
        least = len(needed.replace("+", "")) - bool(optional)
        return least <= count and (count <= len(self.letters) or "+" in self.takes)

    def write(self, name: str, arguments: list[exp.Expr]) -> exp.Expr:
        """Return a call of the function in DuckDB's dialect."""
        if callable(self.becomes):
            return self.becomes(arguments)
        return call(self.becomes or name.lower(), *arguments)


TO_NUMBER = Function("al?l", DECIMAL, lambda arguments: writers.decimal(exp.Cast, arguments))
TRY_TO_NUMBER = Function("tl?l", DECIMAL, lambda arguments: writers.decimal(exp.TryCast, arguments))
TO_TEXT = Function("al?", TEXT, writers.to_char)
TO_NTZ = Function("al?", MOMENT, writers.to_moment("sf_timestamp", "timestamp"))
TRY_NTZ = Function("al?", MOMENT, writers.to_moment("sf_try_timestamp", "timestamp"))
TO_ZONED = Function("al?", ZONED, writers.to_moment("sf_zoned", "timestamptz"))
TO_DATE = Function("al?", DATE, writers.to_moment("sf_date", "date"))
COALESCE = Function("c+", "common", writers.coalesce)

FUNCTIONS: dict[str, Function] = {
    # https://docs.snowflake.com/en/sql-reference/functions-string
    "LOWER": Function("t", TEXT),
    "UPPER": Function("t", TEXT),
    "LENGTH": Function("t", INT),
    "LEN": Function("t", INT, "length"),
    "LEFT": Function("ti", TEXT, "sf_left"),
    "RIGHT": Function("ti", TEXT, "sf_right"),
    "SUBSTR": Function("tii?", TEXT, "sf_substr"),
    "SUBSTRING": Function("tii?", TEXT, "sf_substr"),
    "SPLIT": Function("tt", ARRAY, "sf_split"),
    "SPLIT_PART": Function("tti", TEXT, "sf_split_part"),
    "STRTOK": Function("tti", TEXT, "sf_strtok"),
    "STARTSWITH": Function("tt", BOOL, "starts_with"),
    "ENDSWITH": Function("tt", BOOL, "ends_with"),
    "CONTAINS": Function("tt", BOOL),
    "POSITION": Function("tti?", INT, "sf_position"),
    "CHARINDEX": Function("tti?", INT, "sf_position"),
    "REPLACE": Function("ttt?", TEXT, "sf_replace"),
    "TRANSLATE": Function("ttt", TEXT),
    "TRIM": Function("tt?", TEXT, "sf_trim"),
    "LTRIM": Function("tt?", TEXT, "sf_ltrim"),
    "RTRIM": Function("tt?", TEXT, "sf_rtrim"),
    "LPAD": Function("tit?", TEXT, "sf_lpad"),
    "RPAD": Function("tit?", TEXT, "sf_rpad"),
    "REPEAT": Function("ti", TEXT),
    "REVERSE": Function("t", TEXT),
    "CONCAT": Function("t+", TEXT, writers.concat),
    "CHR": Function("i", TEXT, "sf_chr"),
    "MD5": Function("t", TEXT),
    "SHA1": Function("t", TEXT),
    "SHA2": Function("tl?", TEXT, writers.sha2),
    "BASE64_ENCODE": Function("t", TEXT, "sf_base64_encode"),
    "BASE64_DECODE_STRING": Function("t", TEXT, "sf_base64_decode"),
    "EDITDISTANCE": Function("tt", INT, "levenshtein"),
    "UUID_STRING": Function("", TEXT, writers.uuid_string),
    # https://docs.snowflake.com/en/sql-reference/functions-regexp
    "REGEXP_LIKE": Function("ttl?", BOOL, writers.regexp_like),
    "RLIKE": Function("ttl?", BOOL, writers.regexp_like),
    "REGEXP_SUBSTR": Function("tti?illl", TEXT, regexp_substr),
    "REGEXP_REPLACE": Function("ttt?illl", TEXT, regexp_replace),
    "REGEXP_COUNT": Function("tti?l", INT, writers.regexp_count),
    # https://docs.snowflake.com/en/sql-reference/functions-conversion
    "TO_VARCHAR": TO_TEXT,
    "TO_CHAR": TO_TEXT,
    "TO_NUMBER": TO_NUMBER,
    "TO_DECIMAL": TO_NUMBER,
    "TO_NUMERIC": TO_NUMBER,
    "TRY_TO_NUMBER": TRY_TO_NUMBER,
    "TRY_TO_DECIMAL": TRY_TO_NUMBER,
    "TRY_TO_NUMERIC": TRY_TO_NUMBER,
    "TO_DOUBLE": Function("n", FLOAT, writers.cast_to("double")),
    "TRY_TO_DOUBLE": Function("t", FLOAT, writers.try_cast_to("double")),
    "TO_BOOLEAN": Function("b", BOOL, writers.itself),
    "TRY_TO_BOOLEAN": Function("t", BOOL, "sf_try_boolean"),
    "TO_DATE": TO_DATE,
    "DATE": TO_DATE,
    "TRY_TO_DATE": Function("al?", DATE, writers.to_moment("sf_try_date", "date")),
    "TO_TIMESTAMP": TO_NTZ,
    "TO_TIMESTAMP_NTZ": TO_NTZ,
    "TRY_TO_TIMESTAMP": TRY_NTZ,
    "TRY_TO_TIMESTAMP_NTZ": TRY_NTZ,
    "TO_TIMESTAMP_LTZ": TO_ZONED,
    "TO_TIMESTAMP_TZ": Function("al?", Type.TIMESTAMPTZ, TO_ZONED.becomes),
    "TO_VARIANT": Function("v", VARIANT, writers.itself),
    "TO_ARRAY": Function("v", ARRAY, "sf_to_array"),
    "TO_OBJECT": Function("v", OBJECT, writers.itself),
    # https://docs.snowflake.com/en/sql-reference/functions-semistructured
    "PARSE_JSON": Function("t", VARIANT, "sf_parse_json"),
    "TRY_PARSE_JSON": Function("t", VARIANT, "sf_try_parse_json"),
    "TO_JSON": Function("v", TEXT, lambda arguments: exp.cast(arguments[0], "text")),
    "TYPEOF": Function("v", TEXT, "sf_typeof"),
    "IS_ARRAY": Function("v", BOOL, writers.is_type("ARRAY")),
    "IS_OBJECT": Function("v", BOOL, writers.is_type("OBJECT")),
    "IS_VARCHAR": Function("v", BOOL, writers.is_type("VARCHAR")),
    "IS_CHAR": Function("v", BOOL, writers.is_type("VARCHAR")),
    "IS_BOOLEAN": Function("v", BOOL, writers.is_type("BOOLEAN")),
    "IS_INTEGER": Function("v", BOOL, writers.is_type("INTEGER")),
    "IS_NULL_VALUE": Function("v", BOOL, writers.is_null_value),
    "AS_VARCHAR": Function("v", TEXT, writers.as_type("text", "VARCHAR")),
    "AS_CHAR": Function("v", TEXT, writers.as_type("text", "VARCHAR")),
    "AS_INTEGER": Function("v", INT, writers.as_type("hugeint", "INTEGER")),
    "AS_BOOLEAN": Function("v", BOOL, writers.as_type("boolean", "BOOLEAN")),
    "GET": Function("va", VARIANT, "sf_get"),
    "GET_PATH": Function("vl", VARIANT),  # written by `calls.get_path`
    "OBJECT_KEYS": Function("v", ARRAY, "sf_keys"),
    "OBJECT_CONSTRUCT": Function("v+", OBJECT, writers.object_construct),
    "ARRAY_CONSTRUCT": Function("v+", ARRAY, writers.array_construct),
    "ARRAY_SIZE": Function("v", INT, "sf_array_size"),
    "ARRAY_CONTAINS": Function("vv", BOOL, "sf_array_contains"),
    "ARRAY_POSITION": Function("vv", INT, "sf_array_position"),
    "ARRAYS_OVERLAP": Function("vv", BOOL, "sf_arrays_overlap"),
    "ARRAY_TO_STRING": Function("vt", TEXT, "sf_array_to_string"),
    "ARRAY_CAT": Function("vv", ARRAY, "sf_array_cat"),
    "ARRAY_APPEND": Function("vv", ARRAY, "sf_array_append"),
    "ARRAY_PREPEND": Function("vv", ARRAY, "sf_array_prepend"),
    "ARRAY_COMPACT": Function("v", ARRAY, "sf_array_compact"),
    "ARRAY_DISTINCT": Function("v", ARRAY, "sf_array_distinct"),
    "ARRAY_SLICE": Function("vii", ARRAY, "sf_array_slice"),
    # https://docs.snowflake.com/en/sql-reference/functions-numeric
    "ABS": Function("n", "same"),
    "CEIL": Function("ni?", "same", "sf_ceil"),
    "FLOOR": Function("ni?", "same", "sf_floor"),
    "ROUND": Function("ni?", "same", "sf_round"),
    "TRUNC": Function("au?", "same", writers.trunc),
    "TRUNCATE": Function("au?", "same", writers.trunc),
    "MOD": Function("nn", "same", "sf_mod"),
    "POWER": Function("nn", FLOAT, writers.power),
    "POW": Function("nn", FLOAT, writers.power),
    "SQUARE": Function("n", FLOAT, writers.square),
    "SQRT": Function("n", FLOAT),
    "LN": Function("n", FLOAT),
    "LOG": Function("nn", FLOAT),
    "EXP": Function("n", FLOAT),
    "SIGN": Function("n", INT),
    "DIV0": Function("nn", FLOAT, "sf_div0"),
    "DIV0NULL": Function("nn", FLOAT, "sf_div0null"),
    # https://docs.snowflake.com/en/sql-reference/expressions-conditional
    "IFF": Function("bcc", "common", writers.iff),
    "NVL": COALESCE,
    "IFNULL": COALESCE,
    "COALESCE": COALESCE,
    "NVL2": Function("acc", "common", writers.nvl2),
    "NULLIF": Function("cc", "same", writers.nullif),
    "ZEROIFNULL": Function("n", "same", writers.zeroifnull),
    "NULLIFZERO": Function("n", "same", writers.nullifzero),
    "GREATEST": Function("c+", "common", writers.unless_null("greatest")),
    "LEAST": Function("c+", "common", writers.unless_null("least")),
    "GREATEST_IGNORE_NULLS": Function("c+", "common", "greatest"),
    "LEAST_IGNORE_NULLS": Function("c+", "common", "least"),
    # https://docs.snowflake.com/en/sql-reference/functions-date-time
    "DATEADD": Function("unm", "same", moved),
    "TIMEADD": Function("unm", "same", moved),
    "TIMESTAMPADD": Function("unm", "same", moved),
    "DATEDIFF": Function("umm", INT, datediff),
    "TIMEDIFF": Function("umm", INT, datediff),
    "TIMESTAMPDIFF": Function("umm", INT, datediff),
    "DATE_TRUNC": Function("um", "same", truncated),
    "DATE_PART": Function("um", INT, part),
    **{
        name: Function("m", INT, writers.date_part(name.lower()))
        for name in (
            *("YEAR", "MONTH", "DAY", "DAYOFMONTH", "HOUR", "MINUTE", "SECOND", "QUARTER"),
            *("WEEK", "WEEKISO", "WEEKOFYEAR", "DAYOFWEEK", "DAYOFWEEKISO", "DAYOFYEAR"),
            *("YEAROFWEEK", "YEAROFWEEKISO"),
        )
    },
    "DAYNAME": Function("m", TEXT, "sf_dayname"),
    "MONTHNAME": Function("m", TEXT, "sf_monthname"),
    "LAST_DAY": Function("mu?", DATE, writers.last_day),
    "TIME_SLICE": Function("mlll?", "same", sliced),
    "ADD_MONTHS": Function("mn", "same", writers.add_months),
    "CONVERT_TIMEZONE": Function("aaa?", MOMENT, writers.convert_timezone),
    "DATE_FROM_PARTS": Function("iii", DATE, writers.date_from_parts),
    "TIMESTAMP_FROM_PARTS": Function("iiiiii", MOMENT, writers.timestamp_from_parts),
    "TIMESTAMP_NTZ_FROM_PARTS": Function("iiiiii", MOMENT, writers.timestamp_from_parts),
}

# Functions that return the time of the run.
# https://docs.snowflake.com/en/sql-reference/functions-context
NOW_FUNCTIONS = {
    **dict.fromkeys(("CURRENT_TIMESTAMP", "GETDATE", "LOCALTIMESTAMP", "SYSTIMESTAMP"), ZONED),
    "SYSDATE": MOMENT,
    "P_CURRENT_TIMESTAMP": MOMENT,
    "CURRENT_DATE": DATE,
    "CURRENT_TIME": TIME,
    "LOCALTIME": TIME,
}

# Window functions other than aggregates.
# https://docs.snowflake.com/en/sql-reference/functions-window
WINDOW_FUNCTIONS: dict[str, Function] = {
    "ROW_NUMBER": Function("", INT),
    "RANK": Function("", INT),
    "DENSE_RANK": Function("", INT),
    "PERCENT_RANK": Function("", FLOAT),
    "CUME_DIST": Function("", FLOAT),
    "NTILE": Function("i", INT),
    "LAG": Function("ci?c", "common"),
    "LEAD": Function("ci?c", "common"),
    "FIRST_VALUE": Function("c", "common"),
    "LAST_VALUE": Function("c", "common"),
    "NTH_VALUE": Function("ci", "common"),
    "RATIO_TO_REPORT": Function("n", FLOAT),
}

# https://docs.snowflake.com/en/sql-reference/functions-aggregation
AGGREGATE_TYPES: dict[str, Gives] = {
    "ANY_VALUE": "same",
    "APPROX_COUNT_DISTINCT": INT,
    "ARRAY_AGG": ARRAY,
    "ARRAY_UNIQUE_AGG": ARRAY,
    "AVG": "number",
    "BOOLAND_AGG": BOOL,
    "BOOLOR_AGG": BOOL,
    "COUNT_IF": INT,
    "HLL": INT,
    "LISTAGG": TEXT,
    "MAX": "same",
    "MAX_BY": "same",
    "MEDIAN": FLOAT,
    "MIN": "same",
    "MIN_BY": "same",
    "MODE": "same",
    "OBJECT_AGG": OBJECT,
    "PERCENTILE_CONT": FLOAT,
    "STDDEV": FLOAT,
    "STDDEV_POP": FLOAT,
    "STDDEV_SAMP": FLOAT,
    "STRING_AGG": TEXT,
    "SUM": "number",
    "VARIANCE": FLOAT,
    "VARIANCE_SAMP": FLOAT,
    "VAR_POP": FLOAT,
    "VAR_SAMP": FLOAT,
}


def gives(node: exp.Expr, name: str) -> Gives:
    """Return the result type of a called function; unknown if the function is not supported."""
    if isinstance(node, exp.AnonymousAggFunc):
        given = AGGREGATE_TYPES[name]
        if given != "number":
            return given
        value = node.expressions[0] if node.expressions else None
        kind = value.type.this if value and value.type else Type.UNKNOWN
        if name == "SUM" and kind in FIXED_TYPES:
            return DECIMAL if kind is DECIMAL else INT
        return DECIMAL if kind in FIXED_TYPES else FLOAT
    if name in NOW_FUNCTIONS:
        return NOW_FUNCTIONS[name]
    if name in ("DATEADD", "TIMEADD", "TIMESTAMPADD", "ADD_MONTHS", "DATE_TRUNC", "TRUNC"):
        return _moved_type(node, name)
    if name == "DECODE":
        return "common"
    function = FUNCTIONS.get(name) or WINDOW_FUNCTIONS.get(name)
    if function is None:
        return BOOL if name == "EQUAL_NULL" else Type.UNKNOWN
    if function.gives == "same" and function.letters[:1] == "n":
        return _numeric_type(node.expressions[0], name)
    return function.gives


def common_values(node: exp.Expr, name: str) -> list[exp.Expr]:
    """Return the arguments that determine the result type of a call."""
    arguments: list[exp.Expr] = node.expressions
    if name == "DECODE":
        found = arguments[2::2]
        return [*found, arguments[-1]] if len(arguments) % 2 == 0 else found
    function = FUNCTIONS.get(name) or WINDOW_FUNCTIONS.get(name)
    if function is None or function.gives != "common":
        return arguments
    return [a for i, a in enumerate(arguments) if function.letter(i) == "c"]


def _numeric_type(value: exp.Expr, name: str) -> Gives:
    kind = kind_of(value)
    if kind is not Kind.FIXED:
        return FLOAT if kind is not Kind.UNKNOWN else Type.UNKNOWN
    whole = name in ("CEIL", "FLOOR", "ROUND")
    return INT if whole else value.type.this if value.type else INT


def _moved_type(node: exp.Expr, name: str) -> Gives:
    arguments = node.expressions
    if len(arguments) < 2 - (name == "TRUNC"):
        return Type.UNKNOWN
    first = name in ("ADD_MONTHS", "TRUNC")
    value, unit = (arguments[0], arguments[-1]) if first else (arguments[-1], arguments[0])
    kind = kind_of(value)
    if name == "TRUNC" and kind not in MOMENTS:
        return "same"
    if kind is Kind.DATE:
        small = name not in ("ADD_MONTHS", "TRUNC", "DATE_TRUNC") and is_small(unit)
        return MOMENT if small else DATE
    return value.type.this if kind is Kind.ZONED and value.type else MOMENT


def is_small(unit: exp.Expr) -> bool:
    """Return whether a unit is smaller than a day."""
    return unit_name(unit) in ("hour", "minute", "second", "millisecond", "microsecond")
