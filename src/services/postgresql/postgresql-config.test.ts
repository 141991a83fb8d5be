import { describe, expect, it } from "vitest";
import { parsePostgresqlUrl, postgresqlConfigSchema } from "./postgresql-config.ts";
import { sqlErrorIn } from "./postgresql-errors.ts";
import { quoteIdentifier, quoteLiteral, tableFileName } from "./postgresql-quoting.ts";

describe("a PostgreSQL service's configuration", () => {
  it("takes a URL apart, percent-encoded parts, IPv6 and TLS included", () => {
    expect(parsePostgresqlUrl("postgres://shop%20app:p%40ss%2F@[::1]:6543/my%20shop?sslmode=verify-full")).toEqual({
      host: "::1",
      port: 6543,
      user: "shop app",
      password: "p@ss/",
      database: "my shop",
      libpq: { PGCONNECT_TIMEOUT: "10", PGSSLMODE: "verify-full" },
    });
  });

  it("takes a socket folder in the host's place or as a parameter", () => {
    const encoded = parsePostgresqlUrl("postgresql://shop@%2Fvar%2Frun%2Fpostgresql/shop");
    expect(encoded).toMatchObject({ host: "/var/run/postgresql", port: 5432, password: undefined });
    expect(parsePostgresqlUrl("postgresql://shop@localhost/shop?host=/run/pg&port=5433")).toMatchObject({
      host: "/run/pg",
      port: 5433,
    });
  });

  it("says what is wrong without showing the password", () => {
    for (const [url, words] of [
      ["mysql://shop:geheim@host/shop", "must look like"],
      ["postgresql://shop:geheim@host/", "names no database"],
      ["postgresql://host/shop", "names no user"],
      ["postgresql://shop:geheim@host/shop?sslmood=on", "sslmood"],
    ] as const) {
      const result = postgresqlConfigSchema.safeParse({ type: "postgresql", url });
      expect(result.error?.issues[0]?.message).toContain(words);
      expect(JSON.stringify(result.error?.issues)).not.toContain("geheim");
    }
  });

  it("knows no other keys", () => {
    const config = { type: "postgresql", url: "postgresql://shop@host/shop", exek: ["ssh"] };
    expect(postgresqlConfigSchema.safeParse(config).success).toBe(false);
  });
});

describe("PostgreSQL's names and texts", () => {
  it("are quoted so that they stay names and texts", () => {
    expect(quoteIdentifier('a"; DROP')).toBe('"a""; DROP"');
    expect(quoteLiteral("it's")).toBe("'it''s'");
    expect(quoteLiteral("a\\'b")).toBe(" E'a\\\\''b'");
  });

  it("give tables file names that are safe, different, and not too long", () => {
    expect(tableFileName("public", "orders")).toBe("public.orders.sql");
    expect(tableFileName("a.b", "c")).not.toBe(tableFileName("a", "b.c"));
    expect(tableFileName("../..", "/etc")).toBe("%2E%2E%2F%2E%2E.%2Fetc.sql");
    const long = ["ü".repeat(31), `${"ü".repeat(30)}x`].map((name) => tableFileName(name, name));
    expect(long.every((name) => name.length <= 255)).toBe(true);
    expect(new Set(long).size).toBe(2);
  });

  it("are found by their SQLSTATE in psql's messages, whatever the language, and nowhere else", () => {
    expect(sqlErrorIn("psql:<stdin>:3: FEHLER:  42501: keine Berechtigung\nORT:  aclchk.c")).toMatchObject({
      sqlState: "42501",
      message: "keine Berechtigung",
    });
    expect(sqlErrorIn("WARNUNG:  01000: gut\nFEHLER:  53100: voll")).toMatchObject({ sqlState: "53100" });
    expect(sqlErrorIn("pg_dump: error: query failed: ERROR:  relation gone")).toBeUndefined();
    expect(sqlErrorIn("FATAL:  terminating connection")).toBeUndefined();
  });
});
