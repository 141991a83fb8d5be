import { afterAll, beforeAll } from "vitest";
import { describeComponent } from "../../component/conformance/index.ts";
import { postgresqlUnderTest } from "./conformance/postgresql-component.ts";
import { type PostgresqlServer, startPostgresql } from "./postgresql-test-server.ts";

let server: PostgresqlServer;
beforeAll(async () => {
  server = await startPostgresql();
  server.sql("postgres", "CREATE ROLE app LOGIN CREATEDB PASSWORD 'secret';");
});
afterAll(() => server.stop());

describeComponent("PostgreSQL", () => postgresqlUnderTest(server));
describeComponent("PostgreSQL without superuser", () => postgresqlUnderTest(server, "app"));
