"""Random queries on rows that mix types, to falsify what is claimed of rewritten SQL."""

import random
from collections.abc import Callable
from itertools import product

COLUMNS = {
    "t": {"i": "INTEGER", "r": "REAL", "s": "TEXT", "n": "NUMERIC", "b": "", "d": "DATE"},
    "u": {"i": "INTEGER", "k": "TEXT", "m": "TEXT", "q": "INTEGER"},
}
CELLS = ("NULL", "0", "1", "2", "-3", "1.5", "2.0", "'1'", "'01'", "'1.0'", "'ab'", "'AB'", "''",
         "' 2'", "'2020-01-05'", "7", "1e3", "'x%'")  # fmt: skip
TYPES = ("INTEGER", "REAL", "TEXT", "NUMERIC", "DECIMAL", "DECIMAL(5, 2)", "BOOLEAN", "DATE",
         "STRING", "BLOB", "VARCHAR(3)", "FLOAT", "INT", "DATETIME", "BIGINT")  # fmt: skip
BINARY = ("+", "-", "*", "/", "%", "||", "&", "|", "<<", "=", "<>", "!=", "==", "<", "<=", ">",
          ">=", "AND", "OR", "IS", "IS NOT", "LIKE", "NOT LIKE", "GLOB")  # fmt: skip
CALLS = ("abs({0})", "length({0})", "coalesce({0}, {1})", "ifnull({0}, {1})", "nullif({0}, {1})",
         "substr({0}, 2)", "round({0}, 1)", "lower({0})", "upper({0})", "min({0}, {1})",
         "max({0}, {1})", "typeof({0})", "iif({0}, {1}, 0)", "instr({0}, {1})", "trim({0})",
         "replace({0}, 'a', {1})", "hex({0})", "char_length({0})", "mod({0}, {1})", "pow({0}, 2)",
         "date({0})", "strftime('%m', {0})", "julianday({0})", "concat({0}, {1})", "left({0}, 1)",
         "log({0})", "sign({0})", "unicode({0})", "quote({0})", "total_changes()")  # fmt: skip


def script(generator: random.Random, *, engine: str = "sqlite") -> str:
    """Return a script with two tables; SQLite's hold any cell anywhere."""
    lines = []
    for table, columns in COLUMNS.items():
        definition = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        if engine == "duckdb":
            definition = definition.replace(" NUMERIC", " DECIMAL(9, 2)").replace("b ,", "b TEXT,")
        lines.append(f"CREATE TABLE {table}({definition})")
        for _ in range(9):
            cells = [_cell(generator, kind, engine) for kind in columns.values()]
            lines.append(f"INSERT INTO {table} VALUES ({', '.join(cells)})")
    return ";\n".join(lines) + ";"


def _cell(generator: random.Random, kind: str, engine: str) -> str:
    if engine == "sqlite":
        return generator.choice(CELLS)
    own = {"INTEGER": "0 1 2 -3 7", "REAL": "0 1.5 2.0 1e3", "NUMERIC": "0 1 1.5 -2.25"}
    dates = "'2020-01-05' '2021-12-31'"
    pool = own.get(kind, dates if kind == "DATE" else "'1' '01' 'ab' 'AB' '' 'x%'")
    return generator.choice(["NULL", *pool.split()])


def expression(generator: random.Random, depth: int, names: list[str]) -> str:
    """Return a random expression, sometimes in parentheses, sometimes deliberately not."""
    if depth <= 0:
        return generator.choice([*names * 3, *CELLS])
    below: Callable[[], str] = lambda: expression(generator, depth - 1, names)  # noqa: E731
    kind = generator.randrange(12)
    if kind < 5:
        text = f"{below()} {generator.choice(BINARY)} {below()}"
    elif kind == 5:
        text = f"{below()} {generator.choice(['', 'NOT '])}BETWEEN {below()} AND {below()}"
    elif kind == 6:
        text = f"{below()} {generator.choice(['', 'NOT '])}IN ({below()}, {below()})"
    elif kind == 7:
        text = f"CASE WHEN {below()} THEN {below()} ELSE {below()} END"
    elif kind == 8:
        return f"CAST({below()} AS {generator.choice(TYPES)})"
    elif kind == 9:
        return generator.choice(CALLS).format(below(), below())
    elif kind == 10:
        text = f"{generator.choice(['NOT ', '-', '+', '~'])}{below()}"
    else:
        text = f"{below()} IS {generator.choice(['', 'NOT '])}NULL"
    return f"({text})" if generator.random() < 0.6 else text


def query(generator: random.Random, depth: int = 2) -> str:
    """Return a random query on the two tables."""
    alias = generator.choice(["", " AS x", " y"])
    first = alias.split()[-1] if alias else "t"
    names = [f"{first}.{c}" for c in COLUMNS["t"]] + ["r", "s", "n"]
    source = f"t{alias}"
    shape = generator.randrange(4)
    if shape == 0:
        on = f"{first}.i = u.i" if generator.random() < 0.6 else expression(generator, 1, names)
        kind = generator.choice(["JOIN", "INNER JOIN", "LEFT JOIN", "CROSS JOIN", ","])
        source += ", u" if kind == "," else f" {kind} u" + ("" if kind[0] == "C" else f" ON {on}")
        names += ["u.i", "k", "u.q"]
    some: Callable[[int], str] = lambda depth: expression(generator, depth, names)  # noqa: E731
    where = f" WHERE {some(depth)}" if generator.random() < 0.7 else ""
    if shape == 1:
        key = generator.choice(names)
        return (
            f"SELECT {key}, COUNT(*), SUM({some(1)}) AS z FROM {source}{where} GROUP BY "
            f"{generator.choice([key, '1'])} HAVING {generator.choice(['COUNT(*)', 'z'])} > 1"
        )
    if shape == 2:
        inner = (
            f"SELECT q FROM u WHERE u.i = {first}.i AND {generator.choice(['k', 's', 'm'])} = 'ab'"
        )
        return f"SELECT {some(depth)} FROM {source} WHERE {some(1)} OR i IN ({inner})"
    return f"SELECT {some(depth)} AS z, {some(1)} FROM {source}{where}"


def variant(sql: str, generator: random.Random) -> str:
    """Change a few pieces of a query: some changes keep what it means, most do not."""
    swaps = [*product(TYPES[:9], TYPES[:9]), ("u.i", "u.q"), (" AND ", " OR "), ("<=", "<"),
             ("=", "=="), ("<>", "!="), ("(", "("), (" AS x", " AS X"), ("LEFT JOIN", "JOIN"),
             ("INNER JOIN", "JOIN"), ("t.", "T."), ("1.5", "1.50"), ("'1'", "1"), ("NOT ", ""),
             ("mod(", "("), ("ifnull(", "coalesce("), ("BETWEEN", "NOT BETWEEN"), ("-", "+"),
             ("AS z", "AS w"), ("ON ", "ON 1 = 1 AND "), ("min(", "max(")]  # fmt: skip
    for _ in range(generator.randint(1, 2)):
        fitting = [(old, new) for old, new in swaps if old in sql]
        if fitting:
            old, new = generator.choice(fitting)
            sql = sql.replace(old, new, generator.choice([1, -1]))
    return sql
