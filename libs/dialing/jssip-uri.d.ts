/** The SIP grammar of JsSIP alone; the package's own types describe other exports than the file has. */
declare module 'jssip/lib/URI' {
  class URI {
    /** `sip` or `sips`; lower case. */
    readonly scheme: string;
    readonly user: string | undefined;
    /** Lower case. */
    readonly host: string;
    /** Undefined for text that is not a SIP URI. */
    static parse(text: string): URI | undefined;
  }
  export = URI;
}
