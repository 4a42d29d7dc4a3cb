-- Time-ordered ids made inside the database (RFC 9562, version 7): PostgreSQL 18 brings this function along, and then its own is
-- found first; 16 and 17 use this one.
CREATE OR REPLACE FUNCTION public.uuidv7() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
  SELECT CAST(encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
           PLACING substring(int8send(CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS bigint)) FROM 3)
           FROM 1 FOR 6), 52, 1), 53, 1), 'hex') AS uuid)
$$;
