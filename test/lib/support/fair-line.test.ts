import { FairLine } from '../../../lib/support/fair-line';

function line(...items: readonly (readonly [owner: string, size: number])[]) {
  const made = new FairLine<{ owner: string; size: number }>();
  for (const [owner, size] of items) made.add({ owner, size });
  return made;
}

const names = (items: readonly { owner: string; size: number }[]) =>
  items.map(({ owner, size }) => `${owner}${size}`).join(' ');

describe('FairLine', () => {
  it('is first come, first served for one owner, and takes items that fit together', () => {
    const one = line(['a', 4], ['a', 6], ['a', 3], ['a', 25]);
    expect(names(one.take(10))).toBe('a4 a6');
    expect(names(one.take(10))).toBe('a3');
    expect(names(one.take(10))).toBe('a25');
    expect(one.take(10)).toEqual([]);
  });

  it('serves the owner who has had the least', () => {
    const several = line(['a', 8], ['a', 8], ['a', 8], ['b', 2], ['b', 2], ['b', 2], ['c', 10]);
    const order = Array.from({ length: 7 }, () => names(several.take(1)));
    expect(order).toEqual(['a8', 'b2', 'c10', 'b2', 'b2', 'a8', 'a8']);
  });

  it('charges small items for their turn, so that they do not starve a large one', () => {
    const several = line(['large', 160], ['large', 160], ...Array(60).fill(['small', 1]));
    const order = Array.from({ length: 3 }, () => names(several.take(160)));
    expect(order).toEqual(['large160', Array(16).fill('small1').join(' '), 'large160']);
  });

  it('gives no credit for idle time, and forgets all owners when nothing waits', () => {
    const several = line(['a', 1], ['a', 1], ['a', 1], ['a', 1]);
    several.take(1);
    several.take(1);
    several.add({ owner: 'b', size: 1 });
    several.add({ owner: 'b', size: 1 });
    expect(Array.from({ length: 4 }, () => names(several.take(1)))).toEqual(['b1', 'a1', 'b1', 'a1']);
    several.add({ owner: 'b', size: 1 });
    several.add({ owner: 'a', size: 1 });
    expect(names(several.take(1))).toBe('b1');
  });

  it('forgets removed items', () => {
    const one = line(['a', 1]);
    const item = { owner: 'a', size: 2 };
    one.add(item);
    one.remove(item);
    expect(names(one.items)).toBe('a1');
  });
});
