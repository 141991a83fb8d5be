import { expect, test } from "vitest";
import { holdfast, useShop } from "./testing/shop-commands.ts";

useShop();

test("users and tokens are made, listed and taken away on the server itself, without anybody signed in", async () => {
  const ann = await holdfast("user:add Ann@example.com --administrator");
  expect([ann.exit, ann.out]).toEqual([
    0,
    expect.stringMatching(/^http:\/\/127\.0\.0\.1:4400\/setup#hfl_[\w-]{43}\n$/),
  ]);
  const cron = await holdfast("user:add cron@example.com --machine --role viewer --role production:admin");
  expect([cron.exit, cron.out]).toEqual([0, ""]);
  expect(cron.err).toContain("cron@example.com has in the project shop: viewer, production:admin.");
  expect((await holdfast("user:list --format csv --columns email,kind,permissions")).out).toBe(
    "Email address,Kind,Permissions\nann@example.com,person,administrator\ncron@example.com,machine,shop: viewer production:admin\n",
  );
  await holdfast("user:add cron@example.com --role admin");
  expect((await holdfast("users --format csv --no-header --columns permissions")).out).toContain("shop: admin\n");

  const token = await holdfast("token:create cron@example.com nightly");
  expect(token.out).toMatch(/^hft_[\w-]{43}\n$/);
  const [listed] = JSON.parse((await holdfast("token:list cron@example.com --format json")).out) as { id: string }[];
  expect(listed).toMatchObject({ name: "nightly", last_used_at: null });
  expect((await holdfast(`token:delete cron@example.com ${listed?.id}`)).exit).toBe(0);
  expect((await holdfast("token:list cron@example.com --format json")).out).toBe("[]\n");
  expect((await holdfast("user:delete cron@example.com -y")).exit).toBe(0);
});

test.each([
  ["user:add no-address", "INPUT_INVALID"],
  ["user:add bob@example.com --role owner", 'There is no role "owner"'],
  ["user:delete nobody@example.com -y", "USER_NOT_FOUND"],
  ["token:create nobody@example.com x", "USER_NOT_FOUND"],
  ["user:delete ann@example.com -y", "is the only administrator"],
  ["user:add ann@example.com --machine", "is a person already"],
  ["user:add bot@example.com --machine --administrator", "cannot administer"],
])("%s is refused", async (line, message) => {
  const { exit, err } = await holdfast(line);
  expect([exit, err]).toEqual([1, expect.stringContaining(message)]);
});
