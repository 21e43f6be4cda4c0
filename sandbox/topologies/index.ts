/** Which hosts a lab has. Data only; an engine builds what it says. */
export interface Topology {
  /** Also the lesson's name. */
  readonly name: string;
  readonly title: string;
  readonly hosts: readonly {
    /** Host name that the student's prompt shows. */
    readonly name: string;
    /** Images that the inner engine lists at the first prompt. */
    readonly images: readonly string[];
  }[];
}

export const topologies: Readonly<Record<string, Topology>> = {
  iptables: {
    name: "iptables",
    title: "One Docker host",
    hosts: [{ name: "host1", images: ["busybox", "nginx"] }],
  },
};
