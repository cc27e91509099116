"""The functions of Snowflake that are translated, by name: what they take, give and become.

A function that is not here is refused. Each is documented at
https://docs.snowflake.com/en/sql-reference/functions/NAME; `functions.sql` has the macros, whose
names begin with `sf_`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlglot import exp

from local_panther.errors import FieldError
from local_panther.lake.formats import regexp_replace, regexp_substr, strftime, with_flags
from local_panther.lake.kinds import FIXED_TYPES, MOMENTS, NUMBERS, Gives, Kind, Type, kind_of
from local_panther.lake.units import datediff, moved, part, sliced, truncated

Writer = Callable[[list[exp.Expr]], exp.Expr]

TEXT, INT, FLOAT, BOOL = Type.VARCHAR, Type.BIGINT, Type.DOUBLE, Type.BOOLEAN
MOMENT, ZONED, DATE, TIME = Type.TIMESTAMPNTZ, Type.TIMESTAMPLTZ, Type.DATE, Type.TIME
VARIANT, ARRAY, OBJECT, DECIMAL = Type.VARIANT, Type.ARRAY, Type.OBJECT, Type.DECIMAL


@dataclass(frozen=True)
class Function:
    """A function of Snowflake.

    Attributes:
        takes: A letter for each argument, followed by "?" if it and those after it may be left
            out, or by "+" if there may be more like it: t(ext), n(umber), i(nteger), b(oolean),
            m(oment: a date or a timestamp), v(ariant), a(ny type), c(ommon: any type, the same
            for all of these), u(nit of time), l(iteral).
        gives: The type of its result; "same" as its first argument, or "common" to all of its
            `c` arguments.
        becomes: DuckDB's function, or what writes it. The same name if it is empty.
    """

    takes: str
    gives: Gives
    becomes: str | Writer = ""

    @property
    def letters(self) -> str:
        """Its arguments, without what says how many there may be."""
        return self.takes.replace("?", "").replace("+", "")

    def letter(self, position: int) -> str:
        """Return the letter of an argument."""
        return self.letters[min(position, len(self.letters) - 1)]

    def accepts(self, count: int) -> bool:
        """Return whether it can have so many arguments."""
        needed, optional, _ = self.takes.partition("?")
        least = len(needed.replace("+", "")) - bool(optional)
        return least <= count and (count <= len(self.letters) or "+" in self.takes)

    def write(self, name: str, arguments: list[exp.Expr]) -> exp.Expr:
        """Return a call of it in DuckDB's dialect."""
        if callable(self.becomes):
            return self.becomes(arguments)
        return call(self.becomes or name.lower(), *arguments)


def call(name: str, *arguments: exp.Expr) -> exp.Expr:
    """Return a call of a function of DuckDB."""
    return exp.Anonymous(this=name, expressions=list(arguments))


def _joined(arguments: list[exp.Expr]) -> exp.Expr:
    first, *rest = arguments
    for more in rest:
        first = exp.DPipe(this=first, expression=more)
    return exp.paren(first, copy=False)


def _cast(kind: str) -> Writer:
    return lambda arguments: exp.Cast(this=arguments[0], to=exp.DataType.build(kind))


def _try(kind: str) -> Writer:
    return lambda arguments: exp.TryCast(this=arguments[0], to=exp.DataType.build(kind))


def _number(name: type[exp.Cast], arguments: Sequence[exp.Expr]) -> exp.Expr:
    precision, scale = 38, 0
    given = [argument for argument in arguments[1:] if argument]
    if any(not isinstance(part, exp.Literal) or part.is_string for part in given):
        raise FieldError("a format of a number is not translated here")
    if given:
        precision = int(given[0].name)
        scale = int(given[1].name) if len(given) > 1 else 0
    return name(this=arguments[0], to=exp.DataType.build(f"DECIMAL({precision}, {scale})"))


def _iff(arguments: list[exp.Expr]) -> exp.Expr:
    condition, true, false = arguments
    return exp.Case(ifs=[exp.If(this=condition, true=true)], default=false)


def _nvl2(arguments: list[exp.Expr]) -> exp.Expr:
    value, present, absent = arguments
    condition = exp.Not(this=exp.Is(this=value, expression=exp.null()))
    return exp.Case(ifs=[exp.If(this=condition, true=present)], default=absent)


def _unless_null(name: str) -> Writer:
    """Return GREATEST or LEAST, which are NULL if any value is."""

    def write(arguments: list[exp.Expr]) -> exp.Expr:
        missing = [exp.Is(this=value.copy(), expression=exp.null()) for value in arguments]
        condition = exp.or_(*missing, copy=False)
        return exp.Case(
            ifs=[exp.If(this=condition, true=exp.null())], default=call(name, *arguments)
        )

    return write


def _is_type(*names: str) -> Writer:
    def write(arguments: list[exp.Expr]) -> exp.Expr:
        found = call("sf_typeof", arguments[0])
        return exp.In(this=found, expressions=[exp.Literal.string(name) for name in names])

    return write


def _as_type(kind: str, *names: str) -> Writer:
    def write(arguments: list[exp.Expr]) -> exp.Expr:
        value = call("sf_text", arguments[0])
        cast = exp.Cast(this=value, to=exp.DataType.build(kind))
        fits = _is_type(*names)([arguments[0].copy()])
        return exp.Case(ifs=[exp.If(this=fits, true=cast)])

    return write


def _null_value(arguments: list[exp.Expr]) -> exp.Expr:
    return exp.EQ(this=call("json_type", arguments[0]), expression=exp.Literal.string("NULL"))


def _object(arguments: list[exp.Expr]) -> exp.Expr:
    """Return OBJECT_CONSTRUCT, which leaves out what is NULL."""
    if len(arguments) % 2:
        raise FieldError("OBJECT_CONSTRUCT needs a value for each key")
    pairs = [
        part
        for key, value in zip(arguments[::2], arguments[1::2], strict=True)
        for part in (call("sf_text", key), value)
    ]
    # A patch leaves out what is null in it.
    empty = exp.cast(exp.Literal.string("{}"), "json")
    return call("json_merge_patch", empty, call("json_object", *pairs))


def _array(arguments: list[exp.Expr]) -> exp.Expr:
    return call("to_json", exp.Array(expressions=arguments))


def _sha2(arguments: list[exp.Expr]) -> exp.Expr:
    if len(arguments) > 1 and arguments[1].name != "256":
        raise FieldError("SHA2 is translated for 256 bits only")
    return call("sha256", arguments[0])


def _regexp_like(arguments: list[exp.Expr]) -> exp.Expr:
    subject, pattern, *flags = arguments
    return call("regexp_full_match", subject, with_flags(pattern, flags[0] if flags else None))


def _regexp_count(arguments: list[exp.Expr]) -> exp.Expr:
    subject, pattern, *rest = arguments
    pattern = with_flags(pattern, rest[1] if len(rest) > 1 else None)
    return call("sf_regexp_count", subject, pattern, *rest[:1])


def _to_text(arguments: list[exp.Expr]) -> exp.Expr:
    value, *form = arguments
    if not form:
        return value  # which is text already
    if kind_of(value) not in MOMENTS:
        raise FieldError("TO_CHAR with a format is translated for dates and timestamps only")
    return call("strftime", value, exp.Literal.string(strftime(form[0])))


def _to_moment(name: str, kind: str) -> Writer:
    """Return what turns a text, a number or another moment into a date or timestamp."""
    is_try = name.startswith("sf_try")

    def write(arguments: list[exp.Expr]) -> exp.Expr:
        value, *form = arguments
        if kind_of(value) in NUMBERS:
            if "date" in name:
                raise FieldError("a number is not a date here: write it as text")
            return _zoned_or_not(call("sf_scaled" if form else "sf_seconds", value, *form), kind)
        if kind_of(value) in MOMENTS:
            if form:
                raise FieldError("a format is for texts only")
            return exp.Cast(this=value, to=exp.DataType.build(kind))
        if form:
            if form[0].name.upper() == "AUTO":
                return call(name, value)
            parse = call(
                "try_strptime" if is_try else "strptime",
                value,
                exp.Literal.string(strftime(form[0])),
            )
            return exp.Cast(this=parse, to=exp.DataType.build(kind))
        return call(name, value)

    return write


def _zoned_or_not(moment: exp.Expr, kind: str) -> exp.Expr:
    return exp.Cast(this=moment, to=exp.DataType.build(kind))


def _trunc(arguments: list[exp.Expr]) -> exp.Expr:
    value, *rest = arguments
    if kind_of(value) in MOMENTS:
        return (
            truncated([rest[0], value]) if rest else truncated([exp.Literal.string("day"), value])
        )
    return call("sf_trunc", *arguments)


def _convert_timezone(arguments: list[exp.Expr]) -> exp.Expr:
    if len(arguments) == 3:
        return call("sf_convert", *arguments)
    return call("sf_convert", exp.Literal.string("UTC"), *arguments)


def _parts(name: str) -> Writer:
    return lambda arguments: part([exp.Literal.string(name), *arguments])


def _last_day(arguments: list[exp.Expr]) -> exp.Expr:
    value, *unit = arguments
    name = unit[0].name.lower() if unit else "month"
    if name == "month":
        return call("last_day", value)
    if name == "week":
        return call("sf_last_day_week", value)
    raise FieldError(f"LAST_DAY of a {name} is not translated here")


def _date_from_parts(arguments: list[exp.Expr]) -> exp.Expr:
    return call("make_date", *arguments)


def _timestamp_from_parts(arguments: list[exp.Expr]) -> exp.Expr:
    if len(arguments) > 6:
        raise FieldError("TIMESTAMP_FROM_PARTS is translated for six arguments only")
    return call("make_timestamp", *arguments[:5], exp.cast(arguments[5], "double"))


def _moved_months(arguments: list[exp.Expr]) -> exp.Expr:
    return moved([exp.Literal.string("month"), arguments[1], arguments[0]])


def _uuid(_: list[exp.Expr]) -> exp.Expr:
    return exp.cast(call("uuid"), "text")


def _power(arguments: list[exp.Expr]) -> exp.Expr:
    return call("power", *(exp.cast(argument, "double") for argument in arguments))


def _square(arguments: list[exp.Expr]) -> exp.Expr:
    return _power([arguments[0], exp.Literal.number(2)])


def _zero_if_null(arguments: list[exp.Expr]) -> exp.Expr:
    return exp.Coalesce(this=arguments[0], expressions=[exp.Literal.number(0)])


def _null_if_zero(arguments: list[exp.Expr]) -> exp.Expr:
    return exp.Nullif(this=arguments[0], expression=exp.Literal.number(0))


def _nullif(arguments: list[exp.Expr]) -> exp.Expr:
    return exp.Nullif(this=arguments[0], expression=arguments[1])


def _coalesce(arguments: list[exp.Expr]) -> exp.Expr:
    return exp.Coalesce(this=arguments[0], expressions=arguments[1:])


def _itself(arguments: list[exp.Expr]) -> exp.Expr:
    return arguments[0]


TO_NUMBER = Function("al?l", DECIMAL, lambda arguments: _number(exp.Cast, arguments))
TRY_TO_NUMBER = Function("tl?l", DECIMAL, lambda arguments: _number(exp.TryCast, arguments))
TO_TEXT = Function("al?", TEXT, _to_text)
TO_NTZ = Function("al?", MOMENT, _to_moment("sf_timestamp", "timestamp"))
TRY_NTZ = Function("al?", MOMENT, _to_moment("sf_try_timestamp", "timestamp"))
TO_ZONED = Function("al?", ZONED, _to_moment("sf_zoned", "timestamptz"))
TO_DATE = Function("al?", DATE, _to_moment("sf_date", "date"))
COALESCE = Function("c+", "common", _coalesce)

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
    "CONCAT": Function("t+", TEXT, _joined),
    "CHR": Function("i", TEXT, "sf_chr"),
    "MD5": Function("t", TEXT),
    "SHA1": Function("t", TEXT),
    "SHA2": Function("tl?", TEXT, _sha2),
    "BASE64_ENCODE": Function("t", TEXT, "sf_base64_encode"),
    "BASE64_DECODE_STRING": Function("t", TEXT, "sf_base64_decode"),
    "EDITDISTANCE": Function("tt", INT, "levenshtein"),
    "UUID_STRING": Function("", TEXT, _uuid),
    # https://docs.snowflake.com/en/sql-reference/functions-regexp
    "REGEXP_LIKE": Function("ttl?", BOOL, _regexp_like),
    "RLIKE": Function("ttl?", BOOL, _regexp_like),
    "REGEXP_SUBSTR": Function("tti?illl", TEXT, regexp_substr),
    "REGEXP_REPLACE": Function("ttt?illl", TEXT, regexp_replace),
    "REGEXP_COUNT": Function("tti?l", INT, _regexp_count),
    # https://docs.snowflake.com/en/sql-reference/functions-conversion
    "TO_VARCHAR": TO_TEXT,
    "TO_CHAR": TO_TEXT,
    "TO_NUMBER": TO_NUMBER,
    "TO_DECIMAL": TO_NUMBER,
    "TO_NUMERIC": TO_NUMBER,
    "TRY_TO_NUMBER": TRY_TO_NUMBER,
    "TRY_TO_DECIMAL": TRY_TO_NUMBER,
    "TRY_TO_NUMERIC": TRY_TO_NUMBER,
    "TO_DOUBLE": Function("n", FLOAT, _cast("double")),
    "TRY_TO_DOUBLE": Function("t", FLOAT, _try("double")),
    "TO_BOOLEAN": Function("b", BOOL, _itself),
    "TRY_TO_BOOLEAN": Function("t", BOOL, "sf_try_boolean"),
    "TO_DATE": TO_DATE,
    "DATE": TO_DATE,
    "TRY_TO_DATE": Function("al?", DATE, _to_moment("sf_try_date", "date")),
    "TO_TIMESTAMP": TO_NTZ,
    "TO_TIMESTAMP_NTZ": TO_NTZ,
    "TRY_TO_TIMESTAMP": TRY_NTZ,
    "TRY_TO_TIMESTAMP_NTZ": TRY_NTZ,
    "TO_TIMESTAMP_LTZ": TO_ZONED,
    "TO_TIMESTAMP_TZ": Function("al?", Type.TIMESTAMPTZ, TO_ZONED.becomes),
    "TO_VARIANT": Function("v", VARIANT, _itself),
    "TO_ARRAY": Function("v", ARRAY, "sf_to_array"),
    "TO_OBJECT": Function("v", OBJECT, _itself),
    # https://docs.snowflake.com/en/sql-reference/functions-semistructured
    "PARSE_JSON": Function("t", VARIANT, "sf_parse_json"),
    "TRY_PARSE_JSON": Function("t", VARIANT, "sf_try_parse_json"),
    "TO_JSON": Function("v", TEXT, lambda arguments: exp.cast(arguments[0], "text")),
    "TYPEOF": Function("v", TEXT, "sf_typeof"),
    "IS_ARRAY": Function("v", BOOL, _is_type("ARRAY")),
    "IS_OBJECT": Function("v", BOOL, _is_type("OBJECT")),
    "IS_VARCHAR": Function("v", BOOL, _is_type("VARCHAR")),
    "IS_CHAR": Function("v", BOOL, _is_type("VARCHAR")),
    "IS_BOOLEAN": Function("v", BOOL, _is_type("BOOLEAN")),
    "IS_INTEGER": Function("v", BOOL, _is_type("INTEGER")),
    "IS_NULL_VALUE": Function("v", BOOL, _null_value),
    "AS_VARCHAR": Function("v", TEXT, _as_type("text", "VARCHAR")),
    "AS_CHAR": Function("v", TEXT, _as_type("text", "VARCHAR")),
    "AS_INTEGER": Function("v", INT, _as_type("hugeint", "INTEGER")),
    "AS_BOOLEAN": Function("v", BOOL, _as_type("boolean", "BOOLEAN")),
    "GET": Function("va", VARIANT, "sf_get"),
    "GET_PATH": Function("vl", VARIANT),  # a path, before it is written
    "OBJECT_KEYS": Function("v", ARRAY, "sf_keys"),
    "OBJECT_CONSTRUCT": Function("v+", OBJECT, _object),
    "ARRAY_CONSTRUCT": Function("v+", ARRAY, _array),
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
    "TRUNC": Function("au?", "same", _trunc),
    "TRUNCATE": Function("au?", "same", _trunc),
    "MOD": Function("nn", "same", "sf_mod"),
    "POWER": Function("nn", FLOAT, _power),
    "POW": Function("nn", FLOAT, _power),
    "SQUARE": Function("n", FLOAT, _square),
    "SQRT": Function("n", FLOAT),
    "LN": Function("n", FLOAT),
    "LOG": Function("nn", FLOAT),
    "EXP": Function("n", FLOAT),
    "SIGN": Function("n", INT),
    "DIV0": Function("nn", FLOAT, "sf_div0"),
    "DIV0NULL": Function("nn", FLOAT, "sf_div0null"),
    # https://docs.snowflake.com/en/sql-reference/expressions-conditional
    "IFF": Function("bcc", "common", _iff),
    "NVL": COALESCE,
    "IFNULL": COALESCE,
    "COALESCE": COALESCE,
    "NVL2": Function("acc", "common", _nvl2),
    "NULLIF": Function("cc", "same", _nullif),
    "ZEROIFNULL": Function("n", "same", _zero_if_null),
    "NULLIFZERO": Function("n", "same", _null_if_zero),
    "GREATEST": Function("c+", "common", _unless_null("greatest")),
    "LEAST": Function("c+", "common", _unless_null("least")),
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
        name: Function("m", INT, _parts(name.lower()))
        for name in (
            *("YEAR", "MONTH", "DAY", "DAYOFMONTH", "HOUR", "MINUTE", "SECOND", "QUARTER"),
            *("WEEK", "WEEKISO", "WEEKOFYEAR", "DAYOFWEEK", "DAYOFWEEKISO", "DAYOFYEAR"),
            *("YEAROFWEEK", "YEAROFWEEKISO"),
        )
    },
    "DAYNAME": Function("m", TEXT, "sf_dayname"),
    "MONTHNAME": Function("m", TEXT, "sf_monthname"),
    "LAST_DAY": Function("mu?", DATE, _last_day),
    "TIME_SLICE": Function("mlll?", "same", sliced),
    "ADD_MONTHS": Function("mn", "same", _moved_months),
    "CONVERT_TIMEZONE": Function("aaa?", MOMENT, _convert_timezone),
    "DATE_FROM_PARTS": Function("iii", DATE, _date_from_parts),
    "TIMESTAMP_FROM_PARTS": Function("iiiiii", MOMENT, _timestamp_from_parts),
    "TIMESTAMP_NTZ_FROM_PARTS": Function("iiiiii", MOMENT, _timestamp_from_parts),
}

# The time of the run. https://docs.snowflake.com/en/sql-reference/functions-context
NOW_FUNCTIONS = {
    **dict.fromkeys(("CURRENT_TIMESTAMP", "GETDATE", "LOCALTIMESTAMP", "SYSTIMESTAMP"), ZONED),
    "SYSDATE": MOMENT,
    "P_CURRENT_TIMESTAMP": MOMENT,
    "CURRENT_DATE": DATE,
    "CURRENT_TIME": TIME,
    "LOCALTIME": TIME,
}

# What windows have beside aggregates. https://docs.snowflake.com/en/sql-reference/functions-window
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
    """Return the type of a called function's result; unknown if it is not translated."""
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
    """Return the arguments that the type of a call comes from."""
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
    from local_panther.lake.units import unit_name

    return unit_name(unit) in ("hour", "minute", "second", "millisecond", "microsecond")
