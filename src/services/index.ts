// The kinds of services: for each, the shape of its configuration, its source and its target. Terms: kind (a folder
// here), client tool (a program such as pg_dump, run under the service's exec prefix).
// It knows neither the engine nor the repository.
export { runClientTool } from "./client-tool/client-tool.ts";
export { type CommandConfig, commandConfigSchema } from "./command/command-config.ts";
export { CommandSource } from "./command/command-source.ts";
export { CommandTarget } from "./command/command-target.ts";
export {
  type PostgresqlAddress,
  type PostgresqlConfig,
  postgresqlConfigSchema,
  parsePostgresqlUrl,
} from "./postgresql/postgresql-config.ts";
export { PostgresqlSource } from "./postgresql/postgresql-source.ts";
export { PostgresqlTarget } from "./postgresql/postgresql-target.ts";
export { type MariadbConfig, mariadbConfigSchema } from "./mariadb/mariadb-config.ts";
export { MariadbSource } from "./mariadb/mariadb-source.ts";
export { MariadbTarget } from "./mariadb/mariadb-target.ts";
export { type RedisConfig, redisConfigSchema } from "./redis/redis-config.ts";
export { RedisSource } from "./redis/redis-source.ts";
export { RedisTarget } from "./redis/redis-target.ts";
export { type DirectoryConfig, directoryConfigSchema } from "./directory/directory-config.ts";
export { DirectorySource } from "./directory/directory-source.ts";
export { DirectoryTarget } from "./directory/directory-target.ts";
export { type SqliteConfig, sqliteConfigSchema } from "./sqlite/sqlite-config.ts";
export { sqliteFiles } from "./sqlite/sqlite-restore-plan.ts";
export { SqliteSource } from "./sqlite/sqlite-source.ts";
export { SqliteTarget } from "./sqlite/sqlite-target.ts";
