"""From the prediction log to alerts: profiles, drift, schema, performance, rules. Pure, without a ledger."""
