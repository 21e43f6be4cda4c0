import { containerRuns } from "../../checks/containers.ts";
import { check, type Exercise, fail, pass } from "../../core/exercise.ts";
import { en, joined, ru, type Text } from "../../core/text.ts";
import { allAddresses, firstHost, list } from "../../facts/model.ts";

const webRuns = containerRuns("web", "docker run -d --name web nginx");

const exposed = check<string, { web: typeof webRuns }>({
  id: "web-in-netns-list",
  title: {
    en: "ip netns list shows the network namespace of web, under any name",
    ru: "ip netns list показывает сетевое пространство имён web, имя любое",
  },
  needs: { web: webRuns },
  async run({ facts, web }) {
    const { named, namespace, containers } = firstHost(await facts());
    const expected = {
      en: "a name in /run/netns leads to web's network namespace",
      ru: "имя в /run/netns ведёт в сетевое пространство имён web",
    };
    const names = Object.keys(named);
    const found = names.find((name) => named[name]?.inode === web.namespace.inode);
    if (found !== undefined)
      return pass(found, { en: `${found} is web's`, ru: `${found} — это web` });
    const hint = {
      en: "Docker keeps web's namespace at the SandboxKey that docker inspect web shows; ip netns looks into /run/netns, where a link or a bind mount will do.",
      ru: "Пространство имён web Docker держит по пути SandboxKey, его покажет docker inspect web; ip netns смотрит в /run/netns, и туда годится ссылка или bind mount.",
    };
    if (names.length === 0) {
      const actual = {
        en: "ip netns list shows nothing",
        ru: "ip netns list ничего не показывает",
      };
      return fail(expected, actual, hint);
    }
    const told = names.map((name): Text => {
      const inode = named[name]?.inode;
      const owner = containers.find((container) => container.namespace?.inode === inode);
      if (inode === undefined) {
        return {
          en: `${name} is no network namespace`,
          ru: `${name} — не сетевое пространство имён`,
        };
      }
      if (inode === namespace.inode)
        return { en: `${name} is the host's`, ru: `${name} — это хост` };
      return owner === undefined
        ? { en: `${name} is no container's`, ru: `${name} — не пространство имён контейнера` }
        : { en: `${name} is ${owner.name}'s`, ru: `${name} — это ${owner.name}` };
    });
    return fail(expected, joined(told, "; "), hint);
  },
});

const address = check({
  id: "shows-web-address",
  title: { en: "In it, the address of web is seen", ru: "В нём виден адрес web" },
  needs: { web: webRuns, exposed },
  async run({ facts, web, exposed: name }) {
    const { named } = firstHost(await facts());
    const wanted = Object.values(web.networks).flatMap((network) => network.address || []);
    const held = named[name] ? allAddresses(named[name]) : [];
    const seen = held.filter((each) => each.interface !== "lo").map((each) => each.address);
    if (wanted.length > 0 && wanted.every((each) => seen.includes(each)))
      return pass(undefined, list(seen));
    return fail(
      {
        en: en`ip netns exec ${name} ip addr shows ${list(wanted)}`,
        ru: ru`ip netns exec ${name} ip addr показывает: ${list(wanted)}`,
      },
      { en: en`it shows ${list(seen)}`, ru: ru`показывает: ${list(seen)}` },
    );
  },
});

const key = `key=$(docker inspect -f '{{.NetworkSettings.SandboxKey}}' web); mkdir -p /run/netns\n`;
const pid = `pid=$(docker inspect -f '{{.State.Pid}}' web); mkdir -p /run/netns\n`;

export const exposeContainerNetns: Exercise = {
  id: "namespaces/expose-container-netns",
  title: {
    en: "A container's namespace under ip netns",
    ru: "Пространство имён контейнера в ip netns",
  },
  lesson: "namespaces",
  lab: "namespaces",
  requires: [],
  checks: [webRuns, exposed, address],
  solutions: [
    { name: "link", title: "A link to the SandboxKey", script: `${key}ln -s $key /run/netns/web` },
    {
      name: "bind",
      title: "A bind mount of the SandboxKey",
      script: `${key}touch /run/netns/mine; mount --bind $key /run/netns/mine`,
    },
    {
      name: "proc",
      title: "A link to the process's own",
      script: `${pid}ln -s /proc/$pid/ns/net /run/netns/web`,
    },
    {
      name: "folder",
      title: "Docker's whole folder in place of /run/netns",
      script: "rm -rf /run/netns; ln -s /var/run/docker/netns /var/run/netns",
    },
    {
      name: "folder-bound",
      title: "Docker's whole folder bound over /run/netns",
      script: "mkdir -p /run/netns; mount --rbind /run/docker/netns /run/netns",
    },
    {
      name: "other-interface-name",
      title: "web is in a network that calls its interface otherwise",
      script: `docker network create -o com.docker.network.container_iface_prefix=intf mine
        docker network connect mine web; docker network disconnect bridge web
        ${key}ln -s $key /run/netns/web`,
    },
    { name: "attach", title: "By ip netns attach", script: `${pid}ip netns attach web $pid` },
  ],
  wrongAnswers: [
    {
      name: "folder-bound-flat",
      title: "The folder is bound without what is mounted in it: names of nothing",
      rejectedBy: "web-in-netns-list",
      script: "mkdir -p /run/netns; mount --bind /run/docker/netns /run/netns",
    },
    {
      name: "empty-namespace",
      title: "A new namespace of that name",
      rejectedBy: "web-in-netns-list",
      script: "ip netns add web",
    },
    {
      name: "other-container",
      title: "The namespace of another container",
      rejectedBy: "web-in-netns-list",
      script: `docker run -d --name other nginx
        mkdir -p /run/netns; ln -s $(docker inspect -f '{{.NetworkSettings.SandboxKey}}' other) /run/netns/web`,
    },
    {
      name: "dangling",
      title: "A link that leads nowhere",
      rejectedBy: "web-in-netns-list",
      script: "mkdir -p /run/netns; ln -s /var/run/docker/netns/0123456789ab /run/netns/web",
    },
    {
      name: "forged-address",
      title: "Another namespace with web's address in it",
      rejectedBy: "web-in-netns-list",
      script: `ip netns add web; ip -n web link add eth0 type bridge
        ip -n web addr add $(docker inspect -f '{{.NetworkSettings.IPAddress}}' web)/16 dev eth0`,
    },
    {
      name: "host-namespace",
      title: "The host's namespace",
      rejectedBy: "web-in-netns-list",
      script:
        "mkdir -p /run/netns; ln -s /proc/self/ns/net /run/netns/web; ip netns attach web2 $$",
    },
    {
      name: "web-stopped",
      title: "The link is there, and web has ended",
      rejectedBy: "web-runs",
      script: `${key}ln -s $key /run/netns/web; docker stop -t 0 web`,
    },
    {
      name: "web-made-anew",
      title: "The link is to the namespace of a web that is gone",
      rejectedBy: "web-in-netns-list",
      script: `${key}ln -s $key /run/netns/web; docker rm -f web; docker run -d --name web nginx`,
    },
  ],
};
