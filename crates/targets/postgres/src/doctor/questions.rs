//! What a server is asked about itself.

use crate::{dead_letters, name::literal, postgres::Shared};

/// A prepared transaction that nobody ended for so long is forgotten.
const PREPARED_MAX_S: f64 = 600.0;

/// Facts by their names, all in one round trip.
pub(super) fn all(shared: &Shared) -> String {
    let (ledger, letters) = (literal(&shared.ledger.table), literal(dead_letters::TABLE));
    let schema = shared.settings.ledger.schema.as_deref().map_or("current_schema()".to_owned(), literal);
    let settings = [
        "server_version",
        "server_version_num",
        "server_encoding",
        "fsync",
        "full_page_writes",
        "synchronous_commit",
        "synchronous_standby_names",
        "data_checksums",
        "max_prepared_transactions",
        "max_connections",
        "statement_timeout",
        "idle_in_transaction_session_timeout",
        "default_transaction_read_only",
        "autovacuum",
        "session_replication_role",
    ];
    let settings: Vec<String> = settings
        .iter()
        .map(|name| format!("('{name}', pg_catalog.current_setting('{name}', true))"))
        .collect();
    format!(
        "SELECT * FROM (VALUES {}, \
         ('user', current_user::text), ('database', current_database()::text), ('schema', {schema}::text), \
         ('recovery', pg_is_in_recovery()::text), \
         ('temp', has_database_privilege(current_database(), 'TEMP')::text), \
         ('create', coalesce(has_schema_privilege({schema}, 'CREATE'), false)::text), \
         ('ledger', (to_regclass({ledger}) IS NOT NULL)::text), \
         ('ledger_rights', has_table_privilege(to_regclass({ledger}), 'SELECT')::text || ',' || \
            has_table_privilege(to_regclass({ledger}), 'INSERT')::text || ',' || has_table_privilege(to_regclass({ledger}), 'UPDATE')::text), \
         ('create_here', coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)::text), \
         ('letters', (SELECT bool_and(has_table_privilege(c.oid, r))::text FROM pg_class c, \
            unnest('{{SELECT,INSERT,UPDATE,DELETE}}'::text[]) r WHERE c.oid = to_regclass({letters}))), \
         ('connections', (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')::text), \
         ('standbys', (SELECT count(*)::text || ',' || count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')) FROM pg_stat_replication)), \
         ('prepared', (SELECT string_agg(gid, ', ') FROM pg_prepared_xacts WHERE database = current_database() \
            AND clock_timestamp() - prepared > make_interval(secs => {PREPARED_MAX_S}))), \
         ('triggers', (SELECT string_agg(DISTINCT t.tgrelid::regclass::text, ', ') FROM pg_trigger t WHERE NOT t.tgisinternal AND t.tgenabled <> 'D')), \
         ('rules', (SELECT string_agg(DISTINCT r.ev_class::regclass::text, ', ') FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class \
            JOIN pg_namespace n ON n.oid = c.relnamespace WHERE r.ev_type = '3' AND c.relkind = 'r' AND n.nspname NOT LIKE 'pg\\_%')), \
         ('row_security', (SELECT string_agg(c.oid::regclass::text, ', ') FROM pg_class c WHERE c.relrowsecurity)), \
         ('unlogged', (SELECT string_agg(c.oid::regclass::text, ', ') FROM pg_class c WHERE c.relpersistence = 'u' AND c.relkind = 'r' \
            AND c.oid IS DISTINCT FROM to_regclass({ledger}))), \
         ('ledger_fits', (SELECT (c.relkind IN ('r', 'p') AND EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary) \
            AND (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid AND NOT a.attisdropped AND a.attname IN ('stream', 'lane', \
            'lanes', 'epoch', 'position', 'source', 'source_position', 'complete', 'format', 'owner', 'updated_at')) = 11)::text \
            FROM pg_class c WHERE c.oid = to_regclass({ledger}))), \
         ('ledger_persistence', (SELECT c.relpersistence::text FROM pg_class c WHERE c.oid = to_regclass({ledger}))), \
         ('encrypted', (SELECT ssl::text || ',' || coalesce(version, '') FROM pg_stat_ssl WHERE pid = pg_backend_pid())), \
         ('clock', extract(epoch FROM clock_timestamp())::text) \
         ) AS fact(name, value)",
        settings.join(", ")
    )
}
