-- Functions of Snowflake as macros of DuckDB. Each does what Snowflake documents at
-- https://docs.snowflake.com/en/sql-reference/functions/NAME; tests/lake/expressions.py has
-- expected values. VARIANT, ARRAY and OBJECT are JSON here.

-- VARIANT: access to its value.
-- An instance drops nulls from records, so the path to a null is NULL, as if it did not exist.
CREATE MACRO sf_path(v, path) AS nullif(json_extract(v, path), 'null'::JSON);
CREATE MACRO sf_text(v) AS v ->> '$';
CREATE MACRO sf_get(v, key) AS CASE json_type(v)
  WHEN 'OBJECT' THEN nullif(json_extract(v, '$."' || CAST(key AS VARCHAR) || '"'), 'null'::JSON)
  WHEN 'ARRAY' THEN CASE WHEN TRY_CAST(key AS BIGINT) >= 0
    THEN nullif(json_extract(v, '$[' || CAST(TRY_CAST(key AS BIGINT) AS VARCHAR) || ']'), 'null'::JSON) END
  END;
CREATE MACRO sf_rank(v) AS CASE
  WHEN v IS NULL THEN NULL
  WHEN json_type(v) IN ('UBIGINT', 'BIGINT', 'HUGEINT', 'UHUGEINT', 'DOUBLE') THEN 1
  WHEN json_type(v) = 'BOOLEAN' THEN 2
  ELSE 3 END;
CREATE MACRO sf_order_number(v) AS CASE WHEN sf_rank(v) = 1 THEN CAST(v ->> '$' AS DOUBLE) END;
CREATE MACRO sf_key(v) AS {'rank': sf_rank(v), 'number': coalesce(sf_order_number(v), 0),
  'text': CASE WHEN sf_rank(v) = 1 THEN '' ELSE coalesce(v ->> '$', '') END};
CREATE MACRO sf_typeof(v) AS CASE json_type(v)
  WHEN 'VARCHAR' THEN 'VARCHAR' WHEN 'UBIGINT' THEN 'INTEGER' WHEN 'BIGINT' THEN 'INTEGER'
  WHEN 'HUGEINT' THEN 'INTEGER' WHEN 'UHUGEINT' THEN 'INTEGER'
  WHEN 'DOUBLE' THEN CASE WHEN regexp_full_match(v ->> '$', '-?[0-9]+(\.0+)?') THEN 'INTEGER'
    WHEN regexp_full_match(v ->> '$', '-?[0-9]+\.[0-9]+') THEN 'DECIMAL' ELSE 'DOUBLE' END
  WHEN 'NULL' THEN 'NULL_VALUE' ELSE json_type(v) END;
CREATE MACRO sf_parse_json(t) AS CASE WHEN trim(t) = '' THEN NULL ELSE json(t) END;
CREATE MACRO sf_try_parse_json(t) AS
  CASE WHEN trim(t) <> '' AND json_valid(t) THEN json(t) END;
CREATE MACRO sf_keys(v) AS CASE WHEN json_type(v) = 'OBJECT' THEN to_json(list_sort(json_keys(v))) END;

-- ARRAY: lists of JSON.
CREATE MACRO sf_list(a) AS CASE WHEN json_type(a) = 'ARRAY' THEN CAST(a AS JSON[]) END;
CREATE MACRO sf_to_array(v) AS CASE
  WHEN v IS NULL THEN NULL WHEN json_type(v) = 'ARRAY' THEN v ELSE to_json([v]) END;
CREATE MACRO sf_array_size(a) AS
  CASE WHEN json_type(a) = 'ARRAY' THEN CAST(json_array_length(a) AS BIGINT) END;
CREATE MACRO sf_array_contains(v, a) AS list_contains(sf_list(a), v);
CREATE MACRO sf_array_position(v, a) AS
  CASE WHEN list_contains(sf_list(a), v) THEN CAST(list_position(sf_list(a), v) - 1 AS BIGINT) END;
CREATE MACRO sf_arrays_overlap(a, b) AS list_has_any(sf_list(a), sf_list(b));
CREATE MACRO sf_array_to_string(a, d) AS CASE WHEN a IS NOT NULL AND d IS NOT NULL THEN
  coalesce(array_to_string(list_transform(sf_list(a), lambda x: coalesce(x ->> '$', '')), d), '') END;
CREATE MACRO sf_array_cat(a, b) AS CASE WHEN a IS NOT NULL AND b IS NOT NULL
  THEN to_json(list_concat(sf_list(a), sf_list(b))) END;
CREATE MACRO sf_array_append(a, v) AS
  CASE WHEN a IS NOT NULL THEN to_json(list_append(sf_list(a), v)) END;
CREATE MACRO sf_array_prepend(a, v) AS
  CASE WHEN a IS NOT NULL THEN to_json(list_prepend(v, sf_list(a))) END;
CREATE MACRO sf_array_compact(a) AS
  to_json(list_filter(sf_list(a), lambda x: x IS NOT NULL AND json_type(x) <> 'NULL'));
CREATE MACRO sf_array_distinct(a) AS to_json(list_sort(list_distinct(sf_list(a))));
CREATE MACRO sf_array_slice(a, f, t) AS CASE WHEN f IS NOT NULL AND t IS NOT NULL
  THEN to_json(list_slice(sf_list(a),
    CASE WHEN f < 0 THEN greatest(sf_array_size(a) + f, 0) + 1 ELSE f + 1 END,
    CASE WHEN t < 0 THEN greatest(sf_array_size(a) + t, 0) ELSE t END)) END;
CREATE MACRO sf_split(t, d) AS
  CASE WHEN d = '' THEN to_json([t]) ELSE to_json(string_split(t, d)) END;

-- FLATTEN: the elements of an array, or the values of an object.
CREATE MACRO sf_elements(v) AS CASE json_type(v)
  WHEN 'ARRAY' THEN list_transform(range(CAST(json_array_length(v) AS BIGINT)), lambda i:
    {'key': CAST(NULL AS VARCHAR), 'path': '[' || i || ']', 'index': i,
     'value': nullif(json_extract(v, '$[' || i || ']'), 'null'::JSON), 'this': v})
  WHEN 'OBJECT' THEN list_transform(json_keys(v), lambda k:
    {'key': k, 'path': k, 'index': CAST(NULL AS BIGINT),
     'value': nullif(json_extract(v, '$."' || k || '"'), 'null'::JSON), 'this': v})
  END;
CREATE MACRO sf_elements_outer(v) AS CASE WHEN coalesce(len(sf_elements(v)), 0) > 0
  THEN sf_elements(v) ELSE [{'key': CAST(NULL AS VARCHAR), 'path': CAST(NULL AS VARCHAR),
    'index': CAST(NULL AS BIGINT), 'value': CAST(NULL AS JSON), 'this': v}] END;

-- Casts.
CREATE MACRO sf_boolean(t) AS CASE
  WHEN lower(t) IN ('true', 't', 'yes', 'y', 'on', '1') THEN true
  WHEN lower(t) IN ('false', 'f', 'no', 'n', 'off', '0') THEN false
  WHEN t IS NOT NULL THEN CAST(error('Boolean value ''' || t || ''' is not recognized') AS BOOLEAN) END;
CREATE MACRO sf_try_boolean(t) AS CASE
  WHEN lower(t) IN ('true', 't', 'yes', 'y', 'on', '1') THEN true
  WHEN lower(t) IN ('false', 'f', 'no', 'n', 'off', '0') THEN false END;
CREATE MACRO sf_epoch(n) AS CASE
  WHEN abs(n) < 31536000000 THEN make_timestamp(CAST(n * 1000000 AS BIGINT))
  WHEN abs(n) < 31536000000000 THEN make_timestamp(CAST(n * 1000 AS BIGINT))
  WHEN abs(n) < 31536000000000000 THEN make_timestamp(CAST(n AS BIGINT))
  ELSE make_timestamp(CAST(n // 1000 AS BIGINT)) END;
CREATE MACRO sf_seconds(n) AS make_timestamp(CAST(round(CAST(n AS DOUBLE) * 1000000) AS BIGINT));
CREATE MACRO sf_scaled(n, scale) AS make_timestamp(CAST(round(n * power(10, 6 - scale)) AS BIGINT));
-- A timestamp without a zone keeps the local time of its text; the offset is ignored.
CREATE MACRO sf_clock(t) AS
  regexp_replace(t, '(:[0-9]{2}(?:\.[0-9]+)?)\s*(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)$', '\1');
CREATE MACRO sf_timestamp(t) AS CASE WHEN regexp_full_match(t, '-?[0-9]+')
  THEN sf_epoch(TRY_CAST(t AS HUGEINT)) ELSE CAST(sf_clock(t) AS TIMESTAMP) END;
CREATE MACRO sf_try_timestamp(t) AS CASE WHEN regexp_full_match(t, '-?[0-9]+')
  THEN sf_epoch(TRY_CAST(t AS HUGEINT)) ELSE TRY_CAST(sf_clock(t) AS TIMESTAMP) END;
CREATE MACRO sf_offset(t) AS regexp_matches(t, ':[0-9]{2}(\.[0-9]+)?\s*(Z|[+-][0-9]{2}(:?[0-9]{2})?)$');
CREATE MACRO sf_zoned(t) AS CASE WHEN sf_offset(t) THEN CAST(regexp_replace(
    regexp_replace(t, '\s*([+-][0-9]{2}):?([0-9]{2})$', '\1:\2'), '\s+([+-][0-9]{2})$', '\1')
  AS TIMESTAMPTZ) ELSE CAST(sf_timestamp(t) AS TIMESTAMPTZ) END;
CREATE MACRO sf_date(t) AS CAST(sf_timestamp(t) AS DATE);
CREATE MACRO sf_try_date(t) AS CAST(sf_try_timestamp(t) AS DATE);
CREATE MACRO sf_time_text(t) AS strftime(t, '%Y-%m-%d %H:%M:%S.%g');
CREATE MACRO sf_zoned_text(t) AS strftime(CAST(t AS TIMESTAMP), '%Y-%m-%d %H:%M:%S.%g') || ' +0000';

-- Text.
CREATE MACRO sf_count(n) AS CASE WHEN n < 0 THEN 0 ELSE n END;
CREATE MACRO sf_left(t, n) AS left(t, sf_count(n));
CREATE MACRO sf_right(t, n) AS right(t, sf_count(n));
CREATE MACRO sf_start(t, i) AS CASE WHEN i = 0 THEN 1 ELSE i END;
CREATE MACRO sf_substr(t, i) AS
  CASE WHEN i < -length(t) THEN '' ELSE substr(t, sf_start(t, i)) END,
  (t, i, n) AS CASE WHEN i < -length(t) OR n <= 0 THEN CASE WHEN t IS NOT NULL THEN '' END
    ELSE substr(t, sf_start(t, i), n) END;
CREATE MACRO sf_split_part(t, d, n) AS CASE
  WHEN t IS NULL OR d IS NULL OR n IS NULL THEN NULL
  WHEN d = '' THEN CASE WHEN n IN (-1, 0, 1) THEN t ELSE '' END
  WHEN n = 0 THEN split_part(t, d, 1)
  WHEN abs(n) > len(string_split(t, d)) THEN ''
  ELSE split_part(t, d, n) END;
CREATE MACRO sf_strtok(t, d, n) AS
  list_filter(regexp_split_to_array(t, '[' || regexp_escape(d) || ']'), lambda x: x <> '')[n];
CREATE MACRO sf_position(a, t) AS instr(t, a),
  (a, t, i) AS CASE WHEN i < 1 THEN instr(t, a) WHEN instr(substr(t, i), a) = 0 THEN 0
    ELSE instr(substr(t, i), a) + i - 1 END;
CREATE MACRO sf_replace(t, a) AS replace(t, a, ''), (t, a, b) AS replace(t, a, b);
CREATE MACRO sf_trim(t) AS trim(t, ' '), (t, c) AS trim(t, c);
CREATE MACRO sf_ltrim(t) AS ltrim(t, ' '), (t, c) AS ltrim(t, c);
CREATE MACRO sf_rtrim(t) AS rtrim(t, ' '), (t, c) AS rtrim(t, c);
CREATE MACRO sf_chr(n) AS chr(CAST(n AS INTEGER));
CREATE MACRO sf_lpad(t, n) AS lpad(t, CAST(sf_count(n) AS INTEGER), ' '), (t, n, c) AS lpad(t, CAST(sf_count(n) AS INTEGER), c);
CREATE MACRO sf_rpad(t, n) AS rpad(t, CAST(sf_count(n) AS INTEGER), ' '), (t, n, c) AS rpad(t, CAST(sf_count(n) AS INTEGER), c);
CREATE MACRO sf_regexp_substr(t, p, start, nth, part) AS
  regexp_extract_all(substr(t, start), p, part)[nth];
CREATE MACRO sf_regexp_count(t, p) AS len(regexp_extract_all(t, p)),
  (t, p, start) AS len(regexp_extract_all(substr(t, start), p));
CREATE MACRO sf_base64_encode(t) AS base64(encode(t));
CREATE MACRO sf_base64_decode(t) AS decode(from_base64(t));

-- Numbers: halves are rounded away from zero, and a division by zero is an error.
CREATE MACRO sf_div(a, b) AS CASE WHEN b = 0 THEN CAST(error('Division by zero') AS DOUBLE) ELSE a / b END;
CREATE MACRO sf_div0(a, b) AS CASE WHEN a IS NULL THEN NULL WHEN b = 0 THEN 0 ELSE a / b END;
CREATE MACRO sf_div0null(a, b) AS
  CASE WHEN a IS NULL THEN NULL WHEN coalesce(b, 0) = 0 THEN 0 ELSE a / b END;
CREATE MACRO sf_mod(a, b) AS
  CASE WHEN b = 0 THEN CAST(error('Division by zero') AS TINYINT) ELSE a % b END;
CREATE MACRO sf_trunc(x) AS trunc(x),
  (x, n) AS trunc(x * power(10, n)) / power(10, n);
CREATE MACRO sf_round(x) AS round(x), (x, n) AS round(x, n);
CREATE MACRO sf_floor(x) AS floor(x), (x, n) AS floor(x * power(10, n)) / power(10, n);
CREATE MACRO sf_ceil(x) AS ceil(x), (x, n) AS ceil(x * power(10, n)) / power(10, n);

-- Dates and times. A week begins on Monday (WEEK_START is 0).
CREATE MACRO sf_datediff_week(a, b) AS
  date_diff('day', date_trunc('week', CAST(a AS TIMESTAMP)), date_trunc('week', CAST(b AS TIMESTAMP))) // 7;
CREATE MACRO sf_dayname(d) AS left(dayname(d), 3);
CREATE MACRO sf_monthname(d) AS left(monthname(d), 3);
CREATE MACRO sf_convert(source, target, t) AS
  (CAST(t AS TIMESTAMP) AT TIME ZONE source) AT TIME ZONE target;
CREATE MACRO sf_last_day_week(d) AS CAST(date_trunc('week', d) + to_days(6) AS DATE);
CREATE MACRO sf_slice(t, step, start) AS time_bucket(step, t, start);
CREATE MACRO sf_float_text(x) AS regexp_replace(CAST(x AS VARCHAR), '\.0$', '');
CREATE MACRO sf_convert_to(target, t) AS sf_convert('UTC', target, t);
