-- What the application's role may do. Run after each migration; each statement may be run again.
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};
REVOKE ALL ON alembic_version FROM {role};
GRANT SELECT ON alembic_version TO {role};
GRANT USAGE ON SCHEMA ledger TO {role};
GRANT SELECT ON ALL TABLES IN SCHEMA ledger TO {role};
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ledger FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.top_up(uuid, bigint, text, jsonb) TO {role};
GRANT EXECUTE ON FUNCTION ledger.place_hold(uuid, uuid, bigint) TO {role};
GRANT EXECUTE ON FUNCTION ledger.capture(uuid[], uuid[], uuid[], bigint[], int[]) TO {role};
GRANT EXECUTE ON FUNCTION ledger.release_hold(uuid, uuid) TO {role};
