/** The course's plan: its lessons in order, with what each has a student solve. */
import { didYouMean } from "../../sandbox/did-you-mean.ts";
import type { Language } from "../i18n/language.ts";

type Words = Readonly<Record<Language, string>>;

export interface CourseExercise {
  /** As the graders know it: `bridge/by-hand`. */
  readonly id: string;
  readonly title: Words;
}

export interface CourseLesson {
  /** Its file in `content/lessons/{en,ru}/`, its address, and the name of its lab. */
  readonly id: string;
  /** Time that it takes with its exercises, minutes. */
  readonly minutes: number;
  readonly exercises: readonly CourseExercise[];
}

const exercise = (id: string, en: string, ru: string): CourseExercise => ({
  id,
  title: { en, ru },
});

/** In the order in which they are to be read. A lesson without a file is left out of every list. */
export const lessons: readonly CourseLesson[] = [
  {
    id: "namespaces",
    minutes: 40,
    exercises: [
      exercise(
        "namespaces/create-netns",
        "Two network namespaces by hand",
        "Два сетевых пространства имён вручную",
      ),
      exercise(
        "namespaces/expose-container-netns",
        "A container's namespace under ip netns",
        "Пространство имён контейнера в ip netns",
      ),
    ],
  },
  {
    id: "veth",
    minutes: 40,
    exercises: [
      exercise(
        "veth/connect-two-namespaces",
        "A cable between two namespaces",
        "Кабель между двумя пространствами имён",
      ),
      exercise("veth/find-host-peer", "Which cable is web's", "Какой кабель ведёт к web"),
    ],
  },
  {
    id: "bridge",
    minutes: 60,
    exercises: [
      exercise(
        "bridge/by-hand",
        "A bridge and three namespaces by hand",
        "Мост и три пространства имён вручную",
      ),
      exercise(
        "bridge/user-defined-dns",
        "Names in a user-defined network",
        "Имена в пользовательской сети",
      ),
      exercise(
        "bridge/custom-options",
        "A bridge network with options",
        "Сеть bridge с настройками",
      ),
    ],
  },
  {
    id: "drivers",
    minutes: 45,
    exercises: [
      exercise(
        "drivers/host-and-none",
        "No namespace of its own, and no network at all",
        "Без своего пространства имён и совсем без сети",
      ),
      exercise(
        "drivers/macvlan-underlay",
        "A container on the network under the host",
        "Контейнер в сети под хостом",
      ),
      exercise(
        "drivers/ipvlan-l2",
        "A container on the underlay with the host's MAC address",
        "Контейнер в той же сети с MAC-адресом хоста",
      ),
    ],
  },
  {
    id: "iptables",
    minutes: 75,
    exercises: [
      exercise(
        "iptables/publish-ports",
        "A web server for the world outside",
        "Веб-сервер для внешнего мира",
      ),
      exercise("iptables/block-one-client", "Keep one client out", "Не пускать одного клиента"),
      exercise(
        "homework/inter-network-ping",
        "Connectivity between containers in two different networks",
        "Связность контейнеров из двух разных сетей",
      ),
    ],
  },
  {
    id: "overlay",
    minutes: 60,
    exercises: [
      exercise(
        "overlay/vxlan-by-hand",
        "A tunnel between two hosts by hand",
        "Туннель между двумя хостами вручную",
      ),
      exercise(
        "overlay/swarm-attachable",
        "One network over two hosts",
        "Одна сеть поверх двух хостов",
      ),
    ],
  },
  {
    id: "compose",
    minutes: 90,
    exercises: [
      exercise(
        "compose/from-run-commands",
        "From docker run to a compose file",
        "От docker run к файлу compose",
      ),
      exercise(
        "compose/networks-and-ipam",
        "A network with a subnet of choice",
        "Сеть с выбранной подсетью",
      ),
      exercise(
        "compose/override-merge",
        "A second file over the first",
        "Второй файл поверх первого",
      ),
      exercise(
        "compose/build-args",
        "An image built with arguments",
        "Образ, собранный с аргументами",
      ),
      exercise(
        "compose/healthcheck",
        "A health check that tells the truth",
        "Проверка здоровья, которая говорит правду",
      ),
    ],
  },
  {
    id: "netbox",
    minutes: 90,
    exercises: [
      exercise(
        "homework/netbox-rqworker",
        "Five to ten workers run NetBox's scripts side by side",
        "От пяти до десяти воркеров: скрипты NetBox выполняются одновременно",
      ),
    ],
  },
];

/** Throws where the course has no such exercise. */
export function exerciseOf(id: string): CourseExercise {
  const all = lessons.flatMap(({ exercises }) => exercises);
  const found = all.find((each) => each.id === id);
  if (found === undefined) {
    throw new Error(
      didYouMean(
        "exercise",
        id,
        all.map((each) => each.id),
      ),
    );
  }
  return found;
}
