-- As pg_dump writes it; small enough to check each verdict by eye.
SET statement_timeout = 0;
SELECT pg_catalog.set_config('search_path', '', false);
CREATE SCHEMA crm;
CREATE TYPE crm.stage AS ENUM ('new', 'won', 'lost');
CREATE TABLE crm.account (id integer NOT NULL, name text NOT NULL, country character(2), tags text[]);
CREATE TABLE public.deal (
    id bigint NOT NULL,
    account_id integer,
    amount numeric(12,2) NOT NULL,
    stage crm.stage DEFAULT 'new'::crm.stage NOT NULL,
    opened timestamp without time zone NOT NULL,
    info jsonb
);
COPY crm.account (id, name, country, tags) FROM stdin;
1	Acme	US	{big,old}
2	Bolt	DE	{}
3	acorn	US	\N
4	Dune	\N	{old}
\.
COPY public.deal (id, account_id, amount, stage, opened, info) FROM stdin;
1	1	100.00	won	2024-01-05 09:00:00	{"seats": 5}
2	1	250.50	lost	2024-01-31 18:30:00	{"seats": 50}
3	2	80.00	won	2024-02-01 00:00:00	\N
4	3	80.00	new	2024-03-15 12:00:00	{"seats": 7}
5	\N	40.25	new	2023-12-31 23:59:59	{}
\.
ALTER TABLE ONLY crm.account ADD CONSTRAINT account_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.deal ADD CONSTRAINT deal_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.deal ADD CONSTRAINT deal_fk FOREIGN KEY (account_id) REFERENCES crm.account(id);
