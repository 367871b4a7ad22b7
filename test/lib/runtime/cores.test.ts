import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { usableCores } from '../../../lib/runtime/cores';
import { defaultThreads, threadsOption } from '../../../lib/runtime/threads';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'rnd1-cores-'));
});
afterEach(() => rmSync(root, { recursive: true }));

function write(files: Readonly<Record<string, string>>): void {
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  }
}

/** A machine of `cores` cores with two hardware threads each, the second ones numbered after all first ones. */
function machine(cores: number, allowed: string): void {
  write({
    'proc/self/status': `Name:\tnode\nCpus_allowed:\tff\nCpus_allowed_list:\t${allowed}\nMems_allowed_list:\t0\n`,
  });
  for (let i = 0; i < 2 * cores; i++) {
    const core = i % cores;
    write({ [`sys/devices/system/cpu/cpu${i}/topology/thread_siblings_list`]: `${core},${core + cores}\n` });
  }
}

test('counts cores, not their hardware threads', () => {
  machine(32, '0-63');
  expect(usableCores(root, 64)).toBe(32);
});

test('counts the cores of the affinity only', () => {
  machine(32, '0-3,32-34,40');
  // Cores 0 to 3, and 8.
  expect(usableCores(root, 8)).toBe(5);
});

test('never counts more than can run at once', () => {
  machine(32, '0-63');
  expect(usableCores(root, 4)).toBe(4);
});

test.each([
  ['performance cores', { 'hw.perflevel0.physicalcpu': 8, 'hw.physicalcpu': 10 }, 10, 8],
  ['cores, where all are alike', { 'hw.physicalcpu': 6 }, 12, 6],
  ['no more than can run', { 'hw.perflevel0.physicalcpu': 8 }, 4, 4],
])('on macOS, counts %s', (_, state: Readonly<Record<string, number>>, available, cores) => {
  expect(usableCores(root, available, (name) => state[name] ?? Number.NaN)).toBe(cores);
});

test('counts processors whose topology is unknown as cores', () => {
  write({ 'proc/self/status': 'Cpus_allowed_list:\t0-5\n' });
  expect(usableCores(root, 6)).toBe(6);
});

test.each([
  ['200000 100000', 2],
  ['250000 100000', 3],
  ['5000 100000', 1],
  ['max 100000', 16],
  ['6400000 100000', 16],
  ['nonsense', 16],
])('a control group that grants %s leaves %i cores', (text, cores) => {
  machine(16, '0-31');
  write({ 'proc/self/cgroup': '0::/\n', 'sys/fs/cgroup/cpu.max': `${text}\n` });
  expect(usableCores(root, 32)).toBe(cores);
});

test('the limit of an outer control group holds too', () => {
  machine(16, '0-31');
  write({
    'proc/self/cgroup': '0::/pods/one\n',
    'sys/fs/cgroup/pods/one/cpu.max': 'max 100000\n',
    'sys/fs/cgroup/pods/cpu.max': '400000 100000\n',
  });
  expect(usableCores(root, 32)).toBe(4);
});

test('reads the limits of separate hierarchies', () => {
  machine(16, '0-31');
  write({
    'proc/self/cgroup': '9:cpuset:/x\n4:cpu,cpuacct:/docker/1\n1:name=systemd:/\n',
    'sys/fs/cgroup/cpu/docker/1/cpu.cfs_quota_us': '300000\n',
    'sys/fs/cgroup/cpu/docker/1/cpu.cfs_period_us': '100000\n',
    'sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n',
    'sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
  });
  expect(usableCores(root, 32)).toBe(3);
});

test('without these files every processor counts', () => {
  expect(usableCores(root, 7)).toBe(7);
});

test('auto is the default, and means this machine', () => {
  expect(threadsOption('auto')).toBe(defaultThreads());
  expect(threadsOption(undefined)).toBe(defaultThreads());
  expect(defaultThreads()).toBeGreaterThanOrEqual(1);
  expect(defaultThreads()).toBeLessThanOrEqual(availableParallelism());
  expect(threadsOption(3)).toBe(3);
  expect(() => threadsOption('all')).toThrow("threads must be an integer, not 'all'");
});
