import { dwellOf, Player } from '../../../../lib/server/page/player.js';

function playing(count: number, dwell: number): Player {
  const player = new Player();
  player.begin();
  player.dwell = dwell;
  player.count = count;
  return player;
}

test('each frame stays for its time, however fast they came', () => {
  const player = playing(3, 100);
  const shown = [0, 50, 100, 199, 200, 1000].map((now) => {
    player.advance(now);
    return player.shown;
  });
  expect(shown).toEqual([1, 1, 2, 2, 3, 3]);
});

test('without a time to stay the newest frame is shown', () => {
  const player = playing(9, 0);
  expect(player.advance(1)).toBe(true);
  expect(player.shown).toBe(9);
});

test('waits for frames that are still to come, and ends with the last one', () => {
  const player = playing(1, 100);
  player.advance(0);
  expect(player.advance(500)).toBe(false);
  expect(player.playing).toBe(true);
  player.count = 2;
  expect(player.advance(501)).toBe(true);
  player.close();
  expect([player.shown, player.playing]).toEqual([2, false]);
});

test('a run that closes early plays to its end', () => {
  const player = playing(2, 100);
  player.close();
  expect(player.playing).toBe(true);
  player.advance(0);
  player.advance(100);
  expect([player.shown, player.playing]).toEqual([2, false]);
});

test('scrubbing stops it and stays within what there is', () => {
  const player = playing(4, 100);
  player.seek(2);
  expect([player.shown, player.playing]).toEqual([2, false]);
  player.seek(-1);
  expect(player.shown).toBe(0);
  player.seek(99);
  expect(player.shown).toBe(4);
  expect(player.advance(1e6)).toBe(false);
});

test('play goes on from where it stands, and from the start at the end', () => {
  const player = playing(4, 100);
  player.close();
  player.seek(2);
  player.play();
  expect([player.shown, player.playing]).toEqual([2, true]);
  player.seek(4);
  player.play();
  expect([player.shown, player.playing]).toEqual([0, true]);
});

test('paces: few steps take their time, many do not take forever, live takes none', () => {
  expect(dwellOf('live', 10)).toBe(0);
  expect(dwellOf('brisk', 1)).toBe(350);
  expect(dwellOf('brisk', 1000)).toBe(40);
  expect(dwellOf('calm', 30)).toBe(300);
});
