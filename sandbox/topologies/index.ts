/** Which hosts a lab has. Data only; an engine builds what it says. */
export interface Topology {
  /** Also the lesson's name. */
  readonly name: string;
  /** Host names, as the student's prompt shows them. */
  readonly hosts: readonly { readonly name: string }[];
}

export const topologies: Readonly<Record<string, Topology>> = {
  iptables: { name: "iptables", hosts: [{ name: "host1" }] },
};
