// What tests of other layers use of the services: real servers.
export { type PostgresqlServer, startPostgresql } from "../postgresql/postgresql-test-server.ts";
