-- Which kind of money the books are of, as of 0005, frozen. Later changes are later migrations.
CREATE TABLE money_modes (
  id INTEGER DEFAULT 1 NOT NULL,
  mode TEXT NOT NULL,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT money_modes_pkey PRIMARY KEY (id),
  CONSTRAINT money_modes_single_check CHECK (id = 1),
  CONSTRAINT money_modes_mode_check CHECK (mode IN ('play','test','live'))
);
COMMENT ON TABLE money_modes IS 'one row, written by the first start: play money, test money and real money never share a ledger';
COMMENT ON COLUMN money_modes.mode IS 'play, test, live';

-- Books that were begun before say by their payments what they are of; those without any are claimed by the next start.
INSERT INTO money_modes (mode)
SELECT CASE WHEN bool_or(livemode) THEN 'live' WHEN bool_or(id LIKE 'play\_%') THEN 'play' ELSE 'test' END
  FROM payments HAVING count(*) > 0;
