import type { CatalogKind } from "../catalog-schema.ts";

/** What the two databases call the same thing. */
export interface TypeNames {
  /** Compared byte by byte, so that both order ids alike. */
  readonly text: string;
  /** 64 bits. */
  readonly integer: string;
  /** After a table whose rows are found by their key. */
  readonly keyed: string;
  /** After a table with long rows and several indexes. */
  readonly strict: string;
}

export const typeNames: Record<CatalogKind, TypeNames> = {
  sqlite: { text: "TEXT", integer: "INTEGER", keyed: "STRICT, WITHOUT ROWID", strict: "STRICT" },
  postgresql: { text: 'TEXT COLLATE "C"', integer: "BIGINT", keyed: "", strict: "" },
};

/** The statements that lead from one version of the catalog to the next. */
export type Migration = (names: TypeNames) => readonly string[];
