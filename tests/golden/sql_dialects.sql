-- Queries with what the dialects have of their own, a blank line between them.

SELECT name, pay, RANK() OVER (PARTITION BY dept_id ORDER BY pay DESC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS r FROM emp WINDOW w AS (ORDER BY id);

SELECT d.name, t.name FROM dept d CROSS JOIN LATERAL (SELECT e.name FROM emp e WHERE e.dept_id = d.id ORDER BY pay DESC LIMIT 1) t;

SELECT d.name, top.n FROM dept AS d LEFT JOIN LATERAL (SELECT count(*) AS n FROM emp WHERE dept_id = d.id) AS top ON TRUE;

SELECT name FROM emp QUALIFY ROW_NUMBER() OVER (PARTITION BY dept_id ORDER BY pay) = 1;

SELECT $$It's; fine$$ AS a, $tag$ a 'b' $$ ; c $tag$ AS b FROM emp;

SELECT pay::numeric(10, 2)::text, '2020-01-01'::date + INTERVAL '1 day' FROM emp;

SELECT data->>'name', data#>>'{a,b}', data @> '{"a": 1}'::jsonb FROM events WHERE data ? 'x';

SELECT ARRAY[1, 2, 3], tags[1], tags[1:2], 'x' = ANY(tags) FROM posts WHERE tags && ARRAY['a;b'];

SELECT E'it\'s; so\n', U&'d\0061t', X'1F' FROM emp;

SELECT `first name`, `e`.`pay` FROM `my emp` AS `e` WHERE `e`.`note` <> 'a`b;';

SELECT TOP 5 [first name], [e].[Driver's name] FROM [dbo].[my emp] AS [e] ORDER BY [pay] DESC;

SELECT /* outer /* inner; */ still a comment */ name FROM emp -- it's; a tail;

SELECT CASE WHEN pay > 100 THEN 'high' WHEN pay IS NULL THEN 'none' ELSE CASE floor WHEN 1 THEN 'a' ELSE 'b' END END AS band FROM emp;

WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 10) SELECT sum(n) FROM t;

WITH "big ones" AS MATERIALIZED (SELECT * FROM emp WHERE pay > 10), small AS (SELECT * FROM emp) SELECT * FROM "big ones" UNION ALL SELECT * FROM small;

VALUES (1, 'one'), (2, 'two;');

SELECT * FROM sales PIVOT (SUM(amount) FOR quarter IN ('Q1', 'Q2')) AS p;

SELECT name FROM emp WHERE hired > CURRENT_DATE - INTERVAL '30' DAY AND EXTRACT(YEAR FROM hired) = 2020;

SELECT count(*) FILTER (WHERE pay > 100) AS rich, count(*) FROM emp;

SELECT dept_id, floor, sum(pay) FROM emp GROUP BY GROUPING SETS ((dept_id), (floor), ());

SELECT dept_id, sum(pay) FROM emp GROUP BY ROLLUP (dept_id, floor) HAVING sum(pay) >= 10;

SELECT DISTINCT ON (dept_id) dept_id, name FROM emp ORDER BY dept_id, pay DESC NULLS LAST;

SELECT name FROM emp ORDER BY pay OFFSET 5 ROWS FETCH NEXT 10 ROWS ONLY;

SELECT name FROM emp ORDER BY pay DESC FETCH FIRST 3 ROWS WITH TIES;

SELECT e.name FROM emp e WHERE EXISTS (SELECT 1 FROM dept d WHERE d.id = e.dept_id AND d.name IN ('IT', 'Law'));

SELECT name FROM emp WHERE name LIKE '50!%%' ESCAPE '!' AND name NOT ILIKE 'a%' AND name ~* '^b';

(SELECT name FROM emp) INTERSECT (SELECT name FROM dept) ORDER BY 1 LIMIT 3;

SELECT string_agg(name, ', ' ORDER BY name) WITHIN GROUP (ORDER BY name) FROM emp;

SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY pay) FROM emp;

SELECT ts AT TIME ZONE 'UTC', date_trunc('month', ts) FROM logs WHERE ts BETWEEN '2020-01-01' AND '2020-12-31 23:59:59';

SELECT list_transform([1, 2, 3], x -> x + 1), {'a': 1, 'b': [2, 3]}, struct.a.b FROM emp;

SELECT * EXCLUDE (pay) REPLACE (upper(name) AS name) FROM emp;

SELECT columns('p.*'), name[1:2] FROM emp;

FROM emp SELECT name WHERE pay > 10;

SELECT IIF(pay > 10, 'a', 'b'), ISNULL(x, 0), CONVERT(VARCHAR(10), hired, 120) FROM emp WITH (NOLOCK);

SELECT name FROM emp CROSS APPLY STRING_SPLIT(tags, ',') AS s WHERE s.value = 'x';

SELECT CONCAT(name, '-', id), DATE_SUB(NOW(), INTERVAL 1 MONTH), IFNULL(x, 0) FROM emp WHERE name REGEXP '^a' LIMIT 5, 10;

SELECT name FROM emp WHERE (dept_id, floor) IN (SELECT id, floor FROM dept) AND NOT (pay BETWEEN 1 AND 2);

SELECT max(pay) - min(pay), -pay, +pay, pay % 3, pay || '', pay << 1, ~id, 7 / 2.0e-3 FROM emp;

SELECT strftime('%Y', d), julianday('now') - julianday(d), json_extract(p, '$.a[0].b') FROM v WHERE d GLOB '20*';

SELECT count(DISTINCT CASE WHEN a = 'x' THEN b END), group_concat(DISTINCT c) FROM t NATURAL JOIN u;

SELECT a."from", "select"."order by" FROM a JOIN "select" USING (id) WHERE a."x;y" IS NOT DISTINCT FROM 1;

SELECT * FROM generate_series(1, 10) WITH ORDINALITY AS g(n, i) TABLESAMPLE BERNOULLI (10);

SELECT x FROM UNNEST(ARRAY['a', 'b']) AS u(x);

SELECT region, product, SUM(q) FROM s GROUP BY CUBE (region, product) ORDER BY GROUPING(region), 2 DESC;

SELECT LAG(pay, 1, 0) OVER w, pay - FIRST_VALUE(pay) OVER w FROM emp WINDOW w AS (PARTITION BY dept_id ORDER BY id RANGE BETWEEN INTERVAL '1' DAY PRECEDING AND CURRENT ROW EXCLUDE TIES);

SELECT name FROM emp e1 WHERE pay > (SELECT avg(pay) FROM emp e2 WHERE e2.dept_id = e1.dept_id) AND e1.name <> ALL (SELECT name FROM dept);

SELECT N'ü; ß', 'été', "naïve" FROM "Ämter" WHERE "größe" >= 3;

SELECT a FROM t1 EXCEPT ALL SELECT a FROM t2 UNION DISTINCT SELECT a FROM t3 MINUS SELECT a FROM t4;
