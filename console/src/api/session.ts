/**
 * Who is signed in. The access token lives in memory only. The API gives the refresh token in the body and takes it there,
 * so it has to be kept where scripts can read it: in localStorage where Web Locks let tabs take turns (a refresh token is
 * good for one use), else in sessionStorage, for this tab alone. A strict Content-Security-Policy keeps other scripts out.
 */
import type { components } from "./schema";

type Tokens = components["schemas"]["TokensOut"];

const KEY = "fabric.refresh";
const EARLY_MS = 30_000;

export interface Keep {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

export class Session {
  private access: { token: string; endsAt: number } | null = null;
  private refreshing: Promise<string | null> | null = null;
  private readonly listeners = new Set<() => void>();
  private readonly keep: Keep;
  private readonly locks: LockManager | undefined;
  private readonly exchange: (refreshToken: string) => Promise<Tokens | null>;

  /** `exchange` turns a refresh token into new tokens, or null when it is no good any more; it throws when nobody answers. */
  constructor(keep: Keep, locks: LockManager | undefined, exchange: (refreshToken: string) => Promise<Tokens | null>) {
    this.keep = keep;
    this.locks = locks;
    this.exchange = exchange;
  }

  get signedIn(): boolean {
    return this.keep.getItem(KEY) !== null;
  }

  get refreshToken(): string | null {
    return this.keep.getItem(KEY);
  }

  begin(tokens: Tokens): void {
    this.take(tokens);
    this.tell();
  }

  end(): void {
    this.access = null;
    this.keep.removeItem(KEY);
    this.tell();
  }

  /** A token that is good now, or null when somebody has to sign in. */
  async token(): Promise<string | null> {
    if (this.access && this.access.endsAt - EARLY_MS > Date.now()) return this.access.token;
    return this.renew(null);
  }

  /** Another token than `refused`. */
  async renew(refused: string | null): Promise<string | null> {
    if (refused && this.access && this.access.token !== refused) return this.access.token;
    this.refreshing ??= this.alone(() => this.refresh()).finally(() => {
      this.refreshing = null;
    });
    return this.refreshing;
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Another tab signed in or out. */
  changedElsewhere(): void {
    this.access = null;
    this.tell();
  }

  private async refresh(): Promise<string | null> {
    const refreshToken = this.keep.getItem(KEY);
    if (!refreshToken) return null;
    const tokens = await this.exchange(refreshToken);
    if (!tokens) {
      this.end();
      return null;
    }
    this.take(tokens);
    return tokens.access_token;
  }

  private async alone<T>(act: () => Promise<T>): Promise<T> {
    return this.locks ? ((await this.locks.request(KEY, act)) as T) : act();
  }

  private take(tokens: Tokens): void {
    this.access = { token: tokens.access_token, endsAt: Date.now() + tokens.expires_in * 1000 };
    this.keep.setItem(KEY, tokens.refresh_token);
  }

  private tell(): void {
    for (const listener of this.listeners) listener();
  }
}

export const sessionKey = KEY;
