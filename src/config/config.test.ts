import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { HoldfastError } from "../base/index.ts";
import type { Config } from "./config.ts";
import { loadConfig, parseConfig } from "./load-config.ts";

const env = { DB_PASSWORD: "s3cret", S3_KEY: "key", S3_SECRET: "secret" };

const parse = (text: string, variables: Record<string, string> = env): Config =>
  parseConfig(text, "/srv/conf/holdfast.yaml", variables);

function problemsOf(text: string, variables?: Record<string, string>): string {
  try {
    parse(text, variables);
  } catch (error) {
    if (error instanceof HoldfastError && error.code === "CONFIG_INVALID") return error.message;
    throw error;
  }
  throw new Error("the configuration was accepted");
}

const head = `version: 1
state: ./state
projects:
  shop:
    repository:
      passwordFile: ./repository.key
      replicas:
        - { name: disk, type: local, path: ./repository }
    environments:
`;

const whole = `# holdfast.yaml
version: 1
state: ./state
server: { listen: 127.0.0.1:4400 }
projects:
  shop:
    title: Shop
    profile: upsun
    repository:
      passwordFile: ./repository.key
      required: 1
      replicas:
        - { name: disk, type: local, path: ./repository }
        - { name: eu, type: s3, endpoint: "http://127.0.0.1:9000", region: eu-1, bucket: backups, prefix: shop,
            accessKeyId: "\${S3_KEY}", secretAccessKey: "\${S3_SECRET}" }
    environments:
      main:
        type: production
        status: active
        gateway: { type: builtin, listen: 127.0.0.1:8080, upstream: "http://127.0.0.1:3000", drainTimeout: 15s, holdTimeout: 30s }
        applications:
          app:
            code: /srv/shop
            mounts: { media: /srv/shop/public/media, var: /srv/shop/var }
            exclude: ["var/cache/**"]
        services:
          db:      { type: postgresql, url: "postgresql://shop:\${DB_PASSWORD}@127.0.0.1:5432/shop" }
          orders:  { type: mariadb, url: "mysql://shop:\${DB_PASSWORD}@127.0.0.1:3306/orders" }
          cache:   { type: redis, url: "redis://127.0.0.1:6379" }
          flags:   { type: sqlite, path: data/flags.db }
          search:  { type: directory, path: /var/lib/search, freeze: ["sync-it"], thaw: ["go-on"] }
          ledger:  { type: command, dump: ["ledger-dump"], restore: ["ledger-load"] }
        hooks: { beforeHold: [], afterRelease: ["echo done | logger"], beforeRestore: [[stop, worker]], afterRestore: [] }
      staging:
        type: staging
        parent: main
`;

describe("the configuration file", () => {
  test("is read as the reference shows it, with absolute paths, defaults and durations", () => {
    const config = parse(whole);
    expect(config.stateDirectory).toBe("/srv/conf/state");
    const [project] = config.projects;
    expect(project).toMatchObject({
      id: "shop",
      title: "Shop",
      profile: "upsun",
      repository: {
        password: { kind: "file", file: "/srv/conf/repository.key" },
        verifyWrites: false,
        required: 1,
        replicas: [
          { type: "local", path: "/srv/conf/repository" },
          { type: "s3", accessKeyId: "key", secretAccessKey: "secret" },
        ],
      },
    });
    const [main, staging] = project?.environments ?? [];
    expect(main?.gateway).toMatchObject({ type: "builtin", drainTimeoutMs: 15_000, holdTimeoutMs: 30_000 });
    expect(main?.applications).toEqual([
      {
        name: "app",
        code: "/srv/shop",
        mounts: [
          { name: "media", path: "/srv/shop/public/media" },
          { name: "var", path: "/srv/shop/var" },
        ],
        exclude: ["var/cache/**"],
      },
    ]);
    expect(main?.services.map(({ name, config: { type } }) => `${name} ${type}`)).toEqual([
      "db postgresql",
      "orders mariadb",
      "cache redis",
      "flags sqlite",
      "search directory",
      "ledger command",
    ]);
    expect(main?.services[0]?.config).toMatchObject({ url: "postgresql://shop:s3cret@127.0.0.1:5432/shop" });
    expect(main?.services[3]?.config).toMatchObject({ path: "/srv/conf/data/flags.db" });
    expect(main?.hooks.afterRelease).toEqual([["/bin/sh", "-c", "echo done | logger"]]);
    expect(main?.hooks.beforeRestore).toEqual([["stop", "worker"]]);
    expect(staging).toMatchObject({ type: "staging", initialStatus: "active", parent: "main", services: [] });
  });

  test("names an unknown key with its line, its column and the nearest known one", () => {
    expect(problemsOf(`${head}      main: { type: production, gatway: { type: builtin } }\n`)).toBe(
      '/srv/conf/holdfast.yaml:10:33: unknown key "projects.shop.environments.main.gatway"; did you mean "gateway"?',
    );
    const gateway = `${head}      main:
        type: production
        gateway: { type: builtin, listen: 127.0.0.1:8080, upstream: "http://127.0.0.1:3000", drainTimout: 15s }
`;
    expect(problemsOf(gateway)).toMatch(
      /:12:94: unknown key ".*\.gateway\.drainTimout"; did you mean "drainTimeout"\?$/,
    );
    const service = `${head}      main:
        type: production
        services:
          flags: { type: sqlite, path: x.db, paht: y.db }
`;
    expect(problemsOf(service)).toMatch(/:13:46: unknown key ".*services\.flags\.paht"; did you mean "path"\?$/);
  });

  test("tells everything that is wrong at once, in the file's order", () => {
    const text = `version: 2
state: ./state
colour: red
projects:
  shop:
    repository:
      passwordFile: ./key
      required: 2
      replicas: [{ name: disk, type: locla, path: ./repository }]
    environments:
      main:
        type: prod
        services:
          db: { type: postgresql }
          other: { type: sqlite, path: "\${MISSING}" }
      staging: { type: staging, parent: mian }
`;
    const message = problemsOf(text);
    expect(message).toMatch(/^The configuration has \d errors\.\n/);
    const lines = message.split("\n").slice(1);
    expect(lines[0]).toContain(':1:10: "version"');
    expect(lines[1]).toContain(':3:1: unknown key "colour"');
    expect(lines[2]).toContain('unknown type "locla"; did you mean "local"?');
    expect(lines[3]).toContain(
      '"projects.shop.environments.main.type" must be one of production, staging, development',
    );
    expect(lines[4]).toContain(':14:11: missing key "projects.shop.environments.main.services.db.url"');
    expect(lines[5]).toContain("the environment variable MISSING is not set");
  });

  test("says that a variable between brackets needs quotes, instead of what the parser makes of the rest", () => {
    const service = (text: string): string =>
      problemsOf(
        `${head}      main: { type: production, services: { db: ${text} } }\n      staging: { type: staging }\n`,
      );
    const told = "${DB_PASSWORD} stands between brackets without quotes, where YAML takes its brace for a map";
    expect(service("{ type: sqlite, path: ${DB_PASSWORD} }")).toBe(`/srv/conf/holdfast.yaml:10:71: ${told}`);
    expect(service("{ type: postgresql, url: postgresql://shop:${DB_PASSWORD}@db/shop, exec: [ssh] }")).toBe(
      `/srv/conf/holdfast.yaml:10:92: ${told}`,
    );
    expect(service('{ exec: [ssh, ${DB_PASSWORD}, -q], url: "${DB_PASSWORD}" }')).toBe(
      `/srv/conf/holdfast.yaml:10:63: ${told}`,
    );
  });

  test("tells a mistyped key once, not as missing, too", () => {
    expect(problemsOf(`${head}      main: { tpye: production }\n`)).toBe(
      '/srv/conf/holdfast.yaml:10:15: unknown key "projects.shop.environments.main.tpye"; did you mean "type"?',
    );
    const service = (text: string): string => `${head}      main: { type: production, services: { db: ${text} } }\n`;
    expect(problemsOf(service("{ type: sqlite, paht: x.db }"))).toMatch(
      /^[^\n]*unknown key ".*\.db\.paht"; did you mean "path"\?$/,
    );
    expect(problemsOf(service("{ tpye: sqlite, path: x.db }"))).toMatch(
      /^[^\n]*unknown key ".*\.db\.tpye"; did you mean "type"\?$/,
    );
    expect(problemsOf(service("{ path: x.db }"))).toMatch(/^[^\n]*missing key ".*\.db\.type"$/);
    expect(problemsOf(head.replace("passwordFile", "passwordfile"))).not.toContain("missing key");
  });

  test("says in plain words of what form a value must be", () => {
    const main = (text: string): string => problemsOf(`${head}      main: { type: production, ${text} }\n`);
    expect(main("services: ")).toMatch(/\.main\.services" must be a list of names with settings$/);
    expect(main("title: [a]")).toMatch(/\.title" must be a text$/);
    expect(main("applications: { app: { exclude: 1 } }")).toMatch(/\.exclude" must be a list$/);
    expect(main("applications: { app: 1 }")).toMatch(/\.app" must be a list of settings, each as "key: value"$/);
    expect(problemsOf(whole.replace("required: 1", "required: 0"))).toMatch(/required" must be at least 1$/);
    expect(problemsOf(whole.replace("version: 1", "version: 2"))).toMatch(/"version" must be 1$/);
    expect(problemsOf(whole.replace("state: ./state", "state:"))).toMatch(/"state" must be a text$/);
  });

  test("says what to do about a variable that is not set", () => {
    try {
      parse(whole, { S3_KEY: "key", S3_SECRET: "secret" });
    } catch (error) {
      expect(error).toMatchObject({
        remedy: expect.stringMatching(/^Set DB_PASSWORD before .* service that runs it\.$/),
      });
      return;
    }
    throw new Error("the configuration was accepted");
  });

  test("checks what refers to something else", () => {
    const text = `${head}      main: { type: production }\n      staging: { type: staging, parent: mian }\n`;
    expect(problemsOf(text)).toMatch(/:11:41: .*there is no environment "mian"; did you mean "main"\?/);
    expect(problemsOf(text.replace("mian", "staging"))).toMatch(/not its own ancestor/);
    // Another machine's, where several have one catalog.
    const common = `server: { catalog: "postgresql://u@db/catalog" }\n${text}`;
    expect(parse(common).projects[0]?.environments[1]?.parent).toBe("mian");
    expect(problemsOf(whole.replace("required: 1", "required: 3"))).toMatch(/3 replicas are required, there are 2/);
    expect(problemsOf(whole.replace("name: eu", "name: disk"))).toMatch(/another replica is named disk/);
    expect(problemsOf(whole.replace("/srv/shop/var }", "/srv/shop/public/media }"))).toMatch(/another mount is/);
    expect(problemsOf(head.replace("environments:\n", "environments: {}\n"))).toMatch(/there is no environment/);
  });

  test("takes ${NAME} from the environment, leaves $${NAME} alone and adds no structure", () => {
    const text = `${head}      main: { type: production, title: "\${A} costs $\${A}" }\n`;
    expect(parse(text, { A: "x: [1, {" }).projects[0]?.environments[0]?.title).toBe("x: [1, { costs ${A}");
    expect(problemsOf(text, {})).toMatch(/:10:40: the environment variable A is not set/);
    expect(problemsOf(text.replace("${A}", "${}"), { A: "1" })).toMatch(/names no environment variable/);
  });

  test("never repeats a secret in an error", () => {
    const text = whole.replace("postgresql://shop:", "postgresql:/\\shop:").replace("type: redis", "type: rediss");
    expect(problemsOf(text)).not.toContain("s3cret");
    const wrongType = whole.replace('secretAccessKey: "${S3_SECRET}"', 'secretAccessKey: ["${S3_SECRET}"]');
    expect(problemsOf(wrongType)).not.toContain('"secret"');
  });

  test("takes a PostgreSQL database as the place of the catalog, and nothing else", () => {
    const withCatalog = (url: string): string => whole.replace("listen: 127.0.0.1:4400", `catalog: "${url}"`);
    expect(parse(withCatalog("postgresql://u:${DB_PASSWORD}@db/catalog")).server.catalog).toBe(
      "postgresql://u:s3cret@db/catalog",
    );
    for (const url of ["mysql://u:${DB_PASSWORD}@db/catalog", "postgresql://u:${DB_PASSWORD}@db", "catalog.db"]) {
      const problems = problemsOf(withCatalog(url));
      expect(problems).toMatch(/:4:20: "server\.catalog": must look like "postgresql:/);
      expect(problems).not.toContain("s3cret");
    }
  });

  test("takes where the server listens, its certificate, its proxies; on loopback unless told otherwise", () => {
    const withServer = (server: string): string => whole.replace("{ listen: 127.0.0.1:4400 }", server);
    expect(parse(whole.replace("server: { listen: 127.0.0.1:4400 }", "")).server).toEqual({
      listen: { host: "127.0.0.1", port: 4400 },
      catalog: undefined,
      publicUrl: undefined,
      tls: undefined,
      keepActivitiesMs: 31_536_000_000,
      trustedProxies: [],
    });
    const server = parse(
      withServer(
        '{ listen: "[::]:443", publicUrl: "https://b.example", tls: { certificateFile: c.pem, keyFile: /k.pem }, trustedProxies: [10.0.0.0/8] }',
      ),
    ).server;
    expect(server.listen).toEqual({ host: "::", port: 443 });
    expect(parse(withServer("{ keepActivities: 90d }")).server.keepActivitiesMs).toBe(7_776_000_000);
    expect(problemsOf(withServer("{ keepActivities: 1h }"))).toContain('must be a day or more, such as "90d"');
    expect(server.tls).toEqual({ certificateFile: "/srv/conf/c.pem", keyFile: "/k.pem" });
    for (const [text, problem] of [
      ["{ listen: 4400 }", '"server.listen" must be a text'],
      ["{ listen: 127.0.0.1 }", '"server.listen": must look like "127.0.0.1:4400"'],
      ["{ listen: 127.0.0.1:70000 }", '"server.listen": must look like'],
      ["{ trustedProxies: [10.0.0.0/40] }", "must be an address or a network"],
      ["{ publicUrl: b.example }", 'must look like "https://'],
      ["{ tls: { keyFile: k.pem } }", 'missing key "server.tls.certificateFile"'],
    ] as const) {
      expect(problemsOf(withServer(text))).toContain(problem);
    }
  });

  test("says where YAML itself is wrong", () => {
    expect(problemsOf("version: 1\nstate: [\n")).toMatch(/holdfast\.yaml:\d+:\d+: /);
    expect(problemsOf("version: 1\nversion: 1\n")).toMatch(/:2:1: .*unique/);
    expect(problemsOf("")).toMatch(/the file is empty|must be a list of settings/);
    expect(problemsOf("just text")).toMatch(/the file must be a list of settings/);
    expect(problemsOf("a: &a [*a]\n")).toMatch(/holdfast\.yaml:1:/);
  });

  test("refuses names that could leave a folder", () => {
    for (const name of ["../x", "a/b", ".hidden", "", "a b"]) {
      expect(problemsOf(`${head}      ${JSON.stringify(name)}: { type: production }\n`)).toMatch(/a name has 1 to 63/);
    }
  });

  test("says which file is missing", async () => {
    const folder = await mkdtemp(join(tmpdir(), "holdfast-config-"));
    try {
      const file = join(folder, "holdfast.yaml");
      await expect(loadConfig({ file, env })).rejects.toThrow(`There is no configuration file ${file}.`);
      await writeFile(file, whole);
      expect((await loadConfig({ file, env })).file).toBe(file);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
