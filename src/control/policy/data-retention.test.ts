import { describe, expect, test } from "vitest";
import { dataRetention, manualPolicy, mergeRetention } from "./data-retention.ts";

const monthly = [
  { interval: "1d", count: 7 },
  { interval: "1w", count: 4 },
  { interval: "1M", count: 12 },
];

describe("data retention", () => {
  test("is the profile's while nothing was set: a daily backup of production for two days", () => {
    const retention = dataRetention("upsun", undefined);
    expect(retention.production).toEqual({
      max_backups: 0,
      default_config: { manual_count: 2, schedule: [{ interval: "1d", count: 2 }] },
    });
    expect(retention.development.default_config).toEqual({ manual_count: 2, schedule: [] });
  });

  test("takes both shapes of a change, and merges them with what was set before", () => {
    const one = mergeRetention(undefined, { production: { max_backups: 10 } });
    expect(one).toEqual({ production: { max_backups: 10 } });
    const two = mergeRetention(one, { production: { default_config: { schedule: monthly } } });
    const three = mergeRetention(two, { production: { manual_count: 5 }, staging: { max_backups: 3 } });
    expect(dataRetention("upsun", three)).toEqual({
      production: { max_backups: 10, default_config: { manual_count: 5, schedule: monthly } },
      staging: { max_backups: 3, default_config: { manual_count: 2, schedule: [] } },
      development: { max_backups: 0, default_config: { manual_count: 2, schedule: [] } },
    });
    expect(mergeRetention(three, { production: null })).toEqual({ staging: { max_backups: 3 } });
    expect(mergeRetention(three, null)).toBeUndefined();
    expect(mergeRetention({ staging: { max_backups: 3 } }, { staging: null })).toBeUndefined();
  });

  test("says how many manual backups are kept, 0 being no limit, and cannot allow what the profile forbids", () => {
    expect(manualPolicy("upsun", "production", undefined).count).toBe(2);
    expect(manualPolicy("upsun", "production", { production: { default_config: { manual_count: 7 } } }).count).toBe(7);
    expect(
      manualPolicy("upsun", "production", { production: { default_config: { manual_count: 0 } } }).count,
    ).toBeUndefined();
    expect(
      manualPolicy("commerce-pro", "production", { production: { default_config: { manual_count: 7 } } }).allowed,
    ).toBe(false);
  });
});
