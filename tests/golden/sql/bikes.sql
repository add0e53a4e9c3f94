-- The database of the golden pairs in bikes.txt: a bicycle rental.
CREATE TABLE station (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT NOT NULL, docks INTEGER NOT NULL
);
CREATE TABLE bike (
  id INTEGER PRIMARY KEY, model TEXT NOT NULL, station_id INTEGER REFERENCES station(id),
  price REAL NOT NULL, weight REAL, bought TEXT NOT NULL
);
CREATE TABLE rental (
  id INTEGER PRIMARY KEY, bike_id INTEGER NOT NULL REFERENCES bike(id),
  rider TEXT NOT NULL, minutes INTEGER NOT NULL, note TEXT
);
INSERT INTO station VALUES
  (1, 'Harbour', 'Bergen', 12), (2, 'Old Mill', 'Bergen', 8), (3, 'Castle', 'Tromso', 20),
  (4, 'Airport', 'Tromso', 30);
INSERT INTO bike VALUES
  (1, 'Gull', 1, 410.0, 14.2, '2021-04-01'), (2, 'Gull', 3, 410.0, 14.0, '2022-05-11'),
  (3, 'Tern', 1, 655.5, 11.9, '2022-05-12'), (4, 'Heron', 2, 300.0, NULL, '2020-03-30'),
  (5, 'Tern', NULL, 655.5, 12.1, '2023-01-09');
INSERT INTO rental VALUES
  (1, 1, 'Mina', 25, NULL), (2, 1, 'Odd', 60, 'late; order by phone'), (3, 2, 'Mina', 15, NULL),
  (4, 3, 'Siv', 90, 'DROP TABLE bike'), (5, 3, 'Odd', 35, NULL), (6, 4, 'Mina', 60, '');
