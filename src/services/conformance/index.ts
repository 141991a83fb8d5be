// What tests of other layers use of the services: real servers.
export { startMariadb, type TestMariadb } from "../mariadb/mariadb-test-server.ts";
export { type RedisTestServer, startRedis } from "../redis/redis-test-server.ts";
export { type PostgresqlServer, startPostgresql } from "../postgresql/postgresql-test-server.ts";
