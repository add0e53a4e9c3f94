-- The database of the golden pairs in office.txt: an office with ties, gaps and namesakes.
CREATE TABLE dept (id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT);
CREATE TABLE person (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, dept_id INTEGER REFERENCES dept(id),
  boss_id INTEGER REFERENCES person(id), pay INTEGER, born TEXT NOT NULL, email TEXT
);
CREATE TABLE task (
  id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL REFERENCES person(id), title TEXT NOT NULL,
  hours REAL NOT NULL, done INTEGER NOT NULL CHECK (done IN (0, 1)), due TEXT
);
CREATE TABLE badge (code TEXT PRIMARY KEY, person_id INTEGER NOT NULL REFERENCES person(id));
INSERT INTO dept VALUES (1, 'Sales', 'Rome'), (2, 'IT', 'Oslo'), (3, 'Law', 'Rome'), (4, 'Archive', NULL);
INSERT INTO person VALUES
  (1, 'Ann', 1, NULL, 3000, '1980-02-29', 'ann@x.org'), (2, 'Bob', 2, 1, 4000, '1985-12-31', NULL),
  (3, 'Cid', 2, 1, 4000, '1990-01-01', 'cid@x.org'), (4, 'Dee', NULL, 2, 2500, '1990-06-15', ''),
  (5, 'Eve', 3, 2, NULL, '1985-12-31', 'eve@y.net'), (6, 'Ann', 3, 2, 3500, '1999-07-07', NULL);
INSERT INTO task VALUES
  (1, 1, 'plan', 7.5, 1, '2024-01-31'), (2, 1, 'audit', 2.5, 0, '2024-02-01'),
  (3, 2, 'plan', 4.0, 1, '2024-02-29'), (4, 3, 'patch', 0.1, 1, NULL),
  (5, 3, 'patch', 0.2, 1, '2024-03-01'), (6, 6, 'audit', 8.0, 0, '2023-12-31');
INSERT INTO badge VALUES ('007', 1), ('12', 2), ('012', 3);
