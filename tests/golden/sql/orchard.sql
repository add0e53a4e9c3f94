-- The database of the golden pairs in orchard.txt: few rows, which show nothing but themselves.
CREATE TABLE grower (id INTEGER PRIMARY KEY, name TEXT NOT NULL, town TEXT, since TEXT NOT NULL);
CREATE TABLE variety (code INTEGER PRIMARY KEY, label TEXT);
CREATE TABLE tree (
  id INTEGER PRIMARY KEY, grower_id INTEGER NOT NULL REFERENCES grower(id),
  variety INTEGER NOT NULL REFERENCES variety(code), planted TEXT NOT NULL, picked TEXT NOT NULL,
  height REAL NOT NULL, width REAL NOT NULL, crop INTEGER, note TEXT NOT NULL, data TEXT NOT NULL
);
CREATE TABLE club (id INTEGER PRIMARY KEY, chair INTEGER NOT NULL REFERENCES member(id), name TEXT NOT NULL);
CREATE TABLE member (id INTEGER PRIMARY KEY, club_id INTEGER NOT NULL REFERENCES club(id), name TEXT NOT NULL);
CREATE TABLE plan (id INTEGER PRIMARY KEY, day TEXT NOT NULL, what TEXT NOT NULL);
INSERT INTO grower VALUES
  (1, 'Ida Holm', 'Voss', '2019-02-11'), (2, 'Jon Berg', 'Odda', '2020-07-01'),
  (3, 'Kari Nes', 'Lofthus', '2021-03-15');
INSERT INTO variety VALUES (1, 'Gravenstein'), (2, 'Aroma'), (3, 'Discovery');
INSERT INTO tree VALUES
  (1, 1, 1, '2021-01-04', '2023-09-01 08:00:00', 4.5, 3.0, 40, 'sunny', '{"kind":"apple","age":7,"tags":["old","low"]}'),
  (2, 1, 2, '2021-03-19', '2023-09-09 10:30:00', 3.5, 3.0, 30, 'windy hill', '{"kind":"pear","age":3,"tags":["new"]}'),
  (3, 2, 1, '2020-05-25', '2023-09-28 16:45:00', 5.0, 4.5, 55, 'shade', '{"kind":"apple","age":9,"tags":["old"]}'),
  (4, 2, 3, '2021-03-27', '2023-10-02 09:15:00', 2.5, 1.5, 12, 'new', '{"kind":"plum","age":2,"tags":[]}'),
  (5, 3, 2, '2019-11-30', '2023-08-30 12:00:00', 6.0, 5.5, 61, 'by the river', '{"kind":"pear","age":12,"tags":["old","wide"]}');
INSERT INTO club VALUES (1, 1, 'North'), (2, 3, 'South');
INSERT INTO member VALUES (1, 1, 'a'), (2, 1, 'b'), (3, 2, 'c'), (4, 2, 'd');
