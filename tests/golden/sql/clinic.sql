-- The database of the golden pairs in clinic.txt: 24 visits, enough to show what is the rule here.
CREATE TABLE doctor (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE visit (
  id INTEGER PRIMARY KEY, patient TEXT NOT NULL, code TEXT NOT NULL, diagnosis TEXT NOT NULL,
  ward TEXT, ward_name TEXT, doctor_id INTEGER NOT NULL REFERENCES doctor(id), fee REAL NOT NULL
);
CREATE TABLE bill (visit_id INTEGER PRIMARY KEY REFERENCES visit(id), amount REAL NOT NULL);
INSERT INTO doctor VALUES (1, 'Lie'), (2, 'Moe'), (3, 'Nes');
INSERT INTO visit
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 24)
  SELECT i, 'patient ' || i, 'J' || (i * 7 % 4), CASE i * 7 % 4 WHEN 0 THEN 'cold' WHEN 1 THEN 'flu'
    WHEN 2 THEN 'cough' ELSE 'asthma' END, 'W' || (i * 5 % 6), 'W' || (i * 5 % 6),
    CASE WHEN i = 9 THEN 8 ELSE 1 + i % 3 END, 10 + i * 13 % 50 FROM n;
INSERT INTO bill SELECT id, fee + 1 FROM visit;
