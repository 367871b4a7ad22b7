#include "backends.h"

namespace rnd1::test {
namespace {

/** Packed canvases and their attention inputs. */
struct Packed {
  HeadLayout layout;
  Matrix query, key, value;
  std::vector<int32_t> queryOffsets{0};
  std::vector<int32_t> keyOffsets{0};
  std::vector<int32_t> positions;  // of the queries; none: the last ones of their canvas
  AttentionMask mask;
};

std::vector<int32_t> positionsOf(const Packed& given) {
  if (!given.positions.empty()) return given.positions;
  std::vector<int32_t> positions;
  for (size_t canvas = 0; canvas + 1 < given.queryOffsets.size(); ++canvas) {
    const int32_t queries = given.queryOffsets[canvas + 1] - given.queryOffsets[canvas];
    const int32_t keys = given.keyOffsets[canvas + 1] - given.keyOffsets[canvas];
    for (int32_t query = 0; query < queries; ++query) positions.push_back(keys - queries + query);
  }
  return positions;
}

void append(Matrix& target, const Matrix& rows) {
  target.columns = rows.columns;
  target.rows += rows.rows;
  target.values.insert(target.values.end(), rows.values.begin(), rows.values.end());
}

Packed packed(Noise& noise, const HeadLayout& layout, DType computeDtype, std::span<const int64_t> lengths,
              float deviation = 1) {
  Packed result;
  result.layout = layout;
  for (const int64_t length : lengths) {
    append(result.query, noise.matrix(length, layout.queryColumns(), computeDtype, deviation));
    append(result.key, noise.matrix(length, layout.keyValueColumns(), computeDtype, deviation));
    append(result.value, noise.matrix(length, layout.keyValueColumns(), computeDtype));
    result.queryOffsets.push_back(static_cast<int32_t>(result.query.rows));
    result.keyOffsets.push_back(static_cast<int32_t>(result.key.rows));
  }
  return result;
}

/** One canvas of a batch. */
Packed canvasOf(const Packed& batch, size_t canvas) {
  const int64_t query = batch.queryOffsets[canvas];
  const int64_t key = batch.keyOffsets[canvas];
  Packed result;
  result.layout = batch.layout;
  result.mask = batch.mask;
  result.query = rowRange(batch.query, query, batch.queryOffsets[canvas + 1] - query);
  result.key = rowRange(batch.key, key, batch.keyOffsets[canvas + 1] - key);
  result.value = rowRange(batch.value, key, batch.keyOffsets[canvas + 1] - key);
  result.queryOffsets.push_back(static_cast<int32_t>(result.query.rows));
  result.keyOffsets.push_back(static_cast<int32_t>(result.key.rows));
  return result;
}

struct Result {
  Matrix out;
  Matrix logSumExp;
};

float scaleOf(const HeadLayout& layout) { return 1 / std::sqrt(static_cast<float>(layout.headDim)); }

Result run(Backend& backend, const Packed& given, bool wantLogSumExp = true) {
  Limits limits;
  limits.rows = given.query.rows;
  limits.innerColumns = given.layout.queryColumns();
  limits.headDim = given.layout.headDim;
  backend.reserve(limits);
  const DeviceMatrix query(backend, given.query, 5);
  const DeviceMatrix key(backend, given.key, 7);
  const DeviceMatrix value(backend, given.value, 7);
  const DeviceArray<int32_t> queryOffsets(backend, given.queryOffsets);
  const DeviceArray<int32_t> keyOffsets(backend, given.keyOffsets);
  const auto canvases = static_cast<int64_t>(given.queryOffsets.size()) - 1;
  const DeviceMatrix out(backend, given.query.rows, given.layout.queryColumns());
  const DeviceMatrix logSumExp(backend, given.query.rows, given.layout.heads, 0);
  const DeviceArray<int32_t> positions(backend, positionsOf(given));
  const AttentionRows rows{
      {queryOffsets.data(), canvases}, positions.data(), {keyOffsets.data(), canvases}, {}};
  backend.attention(query, key, value, given.layout, rows, given.mask, scaleOf(given.layout), out,
                    wantLogSumExp ? logSumExp.tensor().data : nullptr);
  return {out.host(), wantLogSumExp ? logSumExp.host() : Matrix()};
}

/** `largestScore`: approximate maximum of scale · q kᵀ. */
void expectMatches(Backend& backend, const Packed& given, double largestScore = 0) {
  const Result actual = run(backend, given);
  const oracle::Attention expected =
      oracle::attention(given.query, given.key, given.value, given.layout, given.queryOffsets,
                        given.keyOffsets, positionsOf(given), scaleOf(given.layout), given.mask.block);
  expectClose(actual.out, expected.out, tolerance(backend.dtype(), Rounding::inside, largestScore),
              "attention");
  expectRounded(actual.out, backend.dtype(), "attention");
  expectClose(actual.logSumExp, expected.logSumExp, tolerance(backend.dtype(), Rounding::none),
              "log-sum-exp");
}

void matchesOracle() {
  constexpr HeadLayout layouts[] = {{4, 2, 32}, {2, 2, 64}, {4, 1, 128}, {3, 1, 40}, {2, 1, 20}, {1, 1, 3}};
  forEachBackend([&](Backend& backend) {
    Noise noise(21);
    for (const HeadLayout& layout : layouts)
      for (const int64_t length : {1, 7, 33, 129}) {
        const Scope scope(text("head ", layout.headDim, ", ", length, " rows"));
        const int64_t lengths[] = {length};
        expectMatches(backend, packed(noise, layout, backend.dtype(), lengths));
      }
  });
}

void severalCanvases() {
  forEachBackend([](Backend& backend) {
    Noise noise(22);
    for (const int64_t headDim : {32, 20}) {
      const int64_t lengths[] = {1, 7, 33, 65, 1, 129, 16};
      expectMatches(backend, packed(noise, {4, 2, headDim}, backend.dtype(), lengths));
    }
  });
}

void fewerQueries() {
  forEachBackend([](Backend& backend) {
    Noise noise(23);
    const HeadLayout layout{4, 2, 32};
    const int64_t lengths[] = {9, 70, 5};
    Packed given = packed(noise, layout, backend.dtype(), lengths);
    const int32_t queries[] = {2, 33, 5};
    given.query = Matrix();
    given.queryOffsets = {0};
    for (const int32_t count : queries) {
      append(given.query, noise.matrix(count, layout.queryColumns(), backend.dtype()));
      given.queryOffsets.push_back(static_cast<int32_t>(given.query.rows));
    }
    expectMatches(backend, given);
  });
}

void largeScores() {
  forEachBackend([](Backend& backend) {
    Noise noise(24);
    const int64_t lengths[] = {150};
    expectMatches(backend, packed(noise, {2, 1, 64}, backend.dtype(), lengths, 12), 500);
  });
}

void optionalLogSumExp() {
  forEachBackend([](Backend& backend) {
    Noise noise(25);
    const int64_t lengths[] = {19};
    const Packed given = packed(noise, {2, 1, 32}, backend.dtype(), lengths);
    expectSameBits(run(backend, given, false).out.values, run(backend, given).out.values, "without it");
  });
}

void canvasesStandAlone() {
  forEachFactory([](const BackendFactory& make) {
    Noise noise(26);
    const auto alone = make(1);
    for (const int64_t headDim : {20, 64, 128}) {
      const int64_t lengths[] = {33, 1, 129, 7, 64};
      const Packed batch = packed(noise, {4, 2, headDim}, alone->dtype(), lengths);
      const Result whole = run(*alone, batch);
      for (const int threads : {2, 3}) {
        const Result other = run(*make(threads), batch);
        expectSameBits(other.out.values, whole.out.values, text(threads, " threads"));
        expectSameBits(other.logSumExp.values, whole.logSumExp.values,
                       text(threads, " threads, log-sum-exp"));
      }
      for (size_t canvas = 0; canvas < std::size(lengths); ++canvas)
        expectSameBits(run(*alone, canvasOf(batch, canvas)).out.values,
                       rowRange(whole.out, batch.queryOffsets[canvas], lengths[canvas]).values,
                       text("canvas ", canvas, " alone"));
      // A query attends to its canvas only, whatever the other queries are.
      Packed one = canvasOf(batch, 2);
      one.query = rowRange(one.query, 100, 1);
      one.queryOffsets[1] = 1;
      expectSameBits(run(*alone, one).out.values, rowRange(whole.out, batch.queryOffsets[2] + 100, 1).values,
                     "one query alone");
    }
  });
}

void specialValues() {
  forEachBackend([](Backend& backend) {
    Noise noise(27);
    const int64_t lengths[] = {7, 40, 33};
    Packed batch = packed(noise, {2, 1, 32}, backend.dtype(), lengths);
    const Result clean = run(backend, batch);
    batch.key.at(20, 3) = std::nanf("");
    const Result actual = run(backend, batch);
    expectSameBits(rowRange(actual.out, 0, 7).values, rowRange(clean.out, 0, 7).values, "canvas before");
    expectSameBits(rowRange(actual.out, 47, 33).values, rowRange(clean.out, 47, 33).values, "canvas behind");
    for (int64_t row = 7; row < 47; ++row)
      expect(std::isnan(actual.out.at(row, 0)), text("row ", row, " of the canvas hides the NaN"));
  });
}

void masksMatch() {
  forEachBackend([](Backend& backend) {
    Noise noise(28);
    for (const HeadLayout& layout : {HeadLayout{2, 2, 64}, {4, 1, 128}, {4, 2, 32}, {3, 1, 20}})
      for (const int32_t block : {1, 3, 32, 64, 100}) {
        const Scope scope(text("head ", layout.headDim, ", blocks of ", block));
        const int64_t lengths[] = {33, 1, 130, 7, 64, 200};
        Packed given = packed(noise, layout, backend.dtype(), lengths);
        given.mask = {block};
        expectMatches(backend, given);
      }
  });
}

/** With cached keys only the last rows are queries. */
void maskedQueriesAreLast() {
  forEachBackend([](Backend& backend) {
    Noise noise(29);
    for (const int64_t headDim : {20, 64, 128})
      for (const int32_t block : {1, 32}) {
        const Scope scope(text("head ", headDim, ", blocks of ", block));
        const int64_t lengths[] = {150, 96};
        Packed all = packed(noise, {4, 2, headDim}, backend.dtype(), lengths);
        all.mask = {block};
        const Result whole = run(backend, all);
        const int64_t first[] = {128, 64};
        Packed last = all;
        last.query = Matrix();
        last.queryOffsets = {0};
        for (size_t canvas = 0; canvas < 2; ++canvas) {
          append(last.query, rowRange(all.query, all.queryOffsets[canvas] + first[canvas],
                                      lengths[canvas] - first[canvas]));
          last.queryOffsets.push_back(static_cast<int32_t>(last.query.rows));
        }
        expectMatches(backend, last);
        const Result part = run(backend, last);
        for (size_t canvas = 0; canvas < 2; ++canvas)
          expectSameBits(
              rowRange(part.out, last.queryOffsets[canvas], lengths[canvas] - first[canvas]).values,
              rowRange(whole.out, all.queryOffsets[canvas] + first[canvas], lengths[canvas] - first[canvas])
                  .values,
              text("canvas ", canvas, ", last rows alone"));
      }
  });
}

/** What a query does not see leaves no trace: later keys may change or be missing. */
void hiddenKeysLeaveNoTrace() {
  forEachBackend([](Backend& backend) {
    Noise noise(30);
    for (const int64_t headDim : {20, 64, 128}) {
      const int64_t lengths[] = {200};
      Packed given = packed(noise, {4, 2, headDim}, backend.dtype(), lengths);
      given.mask = {32};
      const Result whole = run(backend, given);
      for (const int64_t length : {32, 96, 160}) {
        Packed shorter = given;
        for (Matrix Packed::*part : {&Packed::query, &Packed::key, &Packed::value})
          shorter.*part = rowRange(given.*part, 0, length);
        shorter.queryOffsets[1] = shorter.keyOffsets[1] = static_cast<int32_t>(length);
        expectSameBits(run(backend, shorter).out.values, rowRange(whole.out, 0, length).values,
                       text("head ", headDim, ", the first ", length));
      }
    }
  });
}

/** Queries at any positions against cached keys: as float64, and the bits of all queries against packed keys.
 */
void cachedKeys() {
  forEachBackend([](Backend& backend) {
    Noise noise(31);
    const auto size = static_cast<int64_t>(dtypeSize(backend.dtype()));
    for (const HeadLayout& layout : {HeadLayout{4, 2, 20}, {2, 2, 64}, {4, 1, 128}, {3, 1, 3}})
      for (const int32_t block : {0, 1, 32}) {
        const Scope scope(text("head ", layout.headDim, ", blocks of ", block));
        const int64_t lengths[] = {70, 5, 130};
        Packed all = packed(noise, layout, backend.dtype(), lengths);
        all.mask = {block};
        const Result whole = run(backend, all);
        Packed some = all;
        some.query = Matrix();
        some.queryOffsets = {0};
        std::vector<int64_t> rows;
        for (size_t canvas = 0; canvas < 3; ++canvas) {
          for (int32_t position = static_cast<int32_t>(noise.below(3)); position < lengths[canvas];
               position += 1 + static_cast<int32_t>(noise.below(9))) {
            some.positions.push_back(position);
            rows.push_back(all.queryOffsets[canvas] + position);
          }
          some.queryOffsets.push_back(static_cast<int32_t>(rows.size()));
        }
        some.query = selectRows(all.query, rows);
        expectMatches(backend, some);

        // The first and the last canvas have caches, longer than they are.
        const int64_t columns = 24, capacity = 150;
        std::vector<CanvasCache> views(3);
        const DeviceArray<std::byte> memory(
            backend, static_cast<size_t>(2 * capacity * (columns + 2 * layout.keyValueColumns()) * size));
        for (const size_t canvas : {0, 2})
          views[canvas] = {memory.data() + (canvas == 0 ? 0 : memory.size() / 2),
                           static_cast<int32_t>(capacity), static_cast<int32_t>(lengths[canvas])};
        const DeviceArray<CanvasCache> caches(backend, views);
        const LayerCaches layer{caches.data(), columns};
        const DeviceMatrix key(backend, all.key), value(backend, all.value), query(backend, some.query);
        const DeviceArray<int32_t> keyOffsets(backend, all.keyOffsets), offsets(backend, some.queryOffsets),
            keyPositions(backend, positionsOf(all)), positions(backend, some.positions);
        const DeviceMatrix out(backend, some.query.rows, layout.queryColumns());
        backend.cacheKeys(key, value, {keyOffsets.data(), 3}, keyPositions.data(), layer);
        const AttentionRows given{{offsets.data(), 3}, positions.data(), {keyOffsets.data(), 3}, layer};
        backend.attention(query, key, value, layout, given, all.mask, scaleOf(layout), out, nullptr);
        expectSameBits(out.host().values, selectRows(whole.out, rows).values, "cached keys");
      }
  });
}

const DeviceTests attentionTests{
    {"attention: head sizes, groups and lengths against float64", matchesOracle},
    {"attention: packed canvases do not see each other", severalCanvases},
    {"attention: queries need not be keys", fewerQueries},
    {"attention: scores far apart neither overflow nor vanish", largeScores},
    {"attention: the log-sum-exp is optional", optionalLogSumExp},
    {"attention: a canvas has the same bits in any batch, with any number of threads", canvasesStandAlone},
    {"attention: NaN stays in its canvas", specialValues},
    {"attention: causal and block-causal masks against float64", masksMatch},
    {"attention: masked queries are the last rows of their canvas", maskedQueriesAreLast},
    {"attention: hidden keys leave no trace", hiddenKeysLeaveNoTrace},
    {"attention: cached keys give the same bits as packed ones", cachedKeys},
};

}  // namespace
}  // namespace rnd1::test
