import { HoldfastError, type SourceId } from "../base/index.ts";
import type { Source, Target } from "../component/index.ts";
import type { ServiceConfig } from "../config/index.ts";
import type { Component } from "../engine/index.ts";
import {
  CommandSource,
  CommandTarget,
  DirectorySource,
  DirectoryTarget,
  MariadbSource,
  MariadbTarget,
  PostgresqlSource,
  PostgresqlTarget,
  RedisSource,
  RedisTarget,
  SqliteSource,
  SqliteTarget,
} from "../services/index.ts";
import { pathsWithin } from "./paths-within.ts";

/** A service of the configuration as the engine sees it. `claimed`: absolute paths of what are components of their own. */
export function composeService(name: string, config: ServiceConfig, claimed: readonly string[]): Component {
  const id = `service:${name}` as SourceId;
  const apart = config.type === "directory" ? pathsWithin(config.path, claimed) : [];
  return {
    id,
    kind: config.type,
    path: `services/${name}`,
    source: () => serviceSource(id, config, apart),
    target: (folder) => {
      if (folder !== undefined) throw wholeOnly(id, folder);
      return serviceTarget(id, config, apart);
    },
  };
}

function serviceSource(id: SourceId, config: ServiceConfig, apart: readonly string[]): Source {
  switch (config.type) {
    case "postgresql":
      return new PostgresqlSource(id, config);
    case "mariadb":
      return new MariadbSource(id, config);
    case "redis":
      return new RedisSource(id, config);
    case "sqlite":
      return new SqliteSource(id, config);
    case "directory":
      return new DirectorySource(id, config, apart);
    case "command":
      return new CommandSource(id, config);
  }
}

function serviceTarget(id: SourceId, config: ServiceConfig, apart: readonly string[]): Target {
  switch (config.type) {
    case "postgresql":
      return new PostgresqlTarget(id, config);
    case "mariadb":
      return new MariadbTarget(id, config);
    case "redis":
      return new RedisTarget(id, config);
    case "sqlite":
      return new SqliteTarget(id, config);
    case "directory":
      return new DirectoryTarget(id, config, apart);
    case "command":
      return new CommandTarget(id, config);
  }
}

function wholeOnly(id: SourceId, path: string): HoldfastError {
  return new HoldfastError("SERVICE_UNSUPPORTED", `${id} can only be restored whole, not "${path}" alone.`, {
    facts: { source: id, path },
    remedy: `Restore it whole, or write that part into a folder:  --only ${id}:${path} --into DIRECTORY`,
  });
}
