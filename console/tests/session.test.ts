import { describe, expect, test } from "vitest";
import type { Schemas } from "../src/api/client";
import { Session } from "../src/api/session";

class Kept implements Pick<Storage, "getItem" | "setItem" | "removeItem"> {
  readonly values = new Map<string, string>();
  getItem(key: string) {
    return this.values.get(key) ?? null;
  }
  setItem(key: string, value: string) {
    this.values.set(key, value);
  }
  removeItem(key: string) {
    this.values.delete(key);
  }
}

const tokens = (name: string, expires_in = 900): Schemas["TokensOut"] => ({
  access_token: `access ${name}`,
  refresh_token: `refresh ${name}`,
  expires_in,
  refresh_expires_in: 9000,
  token_type: "bearer",
});

describe("a session", () => {
  test("keeps the access token in memory and stores only the refresh token", async () => {
    const kept = new Kept();
    const session = new Session(kept, undefined, async () => null);
    session.begin(tokens("1"));
    expect(await session.token()).toBe("access 1");
    expect([...kept.values.values()]).toEqual(["refresh 1"]);
  });

  test("uses a refresh token once, however many requests find the access token run out", async () => {
    const used: string[] = [];
    const session = new Session(new Kept(), undefined, async (refresh) => {
      used.push(refresh);
      return tokens("2");
    });
    session.begin(tokens("1", 1));
    expect(await Promise.all([session.token(), session.token(), session.renew("access 1")])).toEqual(
      Array(3).fill("access 2"),
    );
    expect(used).toEqual(["refresh 1"]);
  });

  test("renews a refused token, but not one that somebody else has renewed since", async () => {
    let times = 1;
    const session = new Session(new Kept(), undefined, async () => tokens(String(++times)));
    session.begin(tokens("1"));
    expect(await session.renew("access 1")).toBe("access 2");
    expect(await session.renew("access 1")).toBe("access 2");
  });

  test("ends, and says so, when the refresh token is no good any more", async () => {
    const session = new Session(new Kept(), undefined, async () => null);
    session.begin(tokens("1", 1));
    let told = 0;
    session.subscribe(() => {
      told += 1;
    });
    expect(await session.token()).toBeNull();
    expect([session.signedIn, told]).toEqual([false, 1]);
  });

  test("lasts when nobody answers", async () => {
    const session = new Session(new Kept(), undefined, async () => {
      throw new TypeError("no network");
    });
    session.begin(tokens("1", 1));
    await expect(session.token()).rejects.toThrow("no network");
    expect(session.signedIn).toBe(true);
  });
});
