// Uploads in parts.
#include <array>

#include "storage/contract/subject.hh"

namespace seawall::storage::contract {
namespace {

using storage::Part;
using storage::PutOptions;
using storage::PutResult;
using storage::Store;
using storage::Upload;

/// `data` cut into parts, put in the order of their numbers.
std::vector<Part> put_parts(Store& store, const Upload& upload, Bytes data, std::size_t part_bytes) {
  std::vector<Part> parts;
  for (std::size_t offset = 0; offset < data.size(); offset += part_bytes) {
    const Bytes body = data.subspan(offset, std::min(part_bytes, data.size() - offset));
    const Part part{.number = static_cast<unsigned>(parts.size() + 1), .offset = offset};
    parts.push_back(store.put_part(upload, part, body, {}));
    expect_equal(parts.back().bytes, body.size(), "a part has the size of its data");
    expect_equal(parts.back().number, part.number, "a part keeps its number");
    expect_equal(parts.back().offset, part.offset, "a part keeps its place");
  }
  return parts;
}

/// So many times what the checks use by themselves, so that no part but the last is smaller than the store takes.
std::size_t scale(const Store& store) {
  const std::size_t smallest = std::size_t{256} << 10;
  return (store.upload_shape(std::nullopt).least_part_bytes + smallest - 1) / smallest;
}

PutResult upload_whole(Subject& s, std::string_view name, Bytes data, const PutOptions& options) {
  const Upload upload = s.store.begin(s.key(name), options, {});
  return s.store.complete(upload, put_parts(s.store, upload, data, scale(s.store) << 20), {});
}

void parts_make_the_whole(Store& store, std::string_view prefix) {
  Subject s(store, prefix);
  const std::size_t part_bytes = store.upload_shape(std::nullopt).part_bytes;
  for (const std::size_t misaligned_by : {std::size_t{0}, std::size_t{1}}) {
    const Noise noise(2 * part_bytes + 1234567, 7, misaligned_by);
    const std::string name = fmt::format("big/{}", misaligned_by);
    const Upload upload = store.begin(s.key(name), {}, {});
    expect_equal(upload.key, s.key(name), "an upload knows its key");
    const std::vector<Part> parts = put_parts(store, upload, noise.bytes(), part_bytes);
    expect(!s.stat(name) && !s.get(name), "an object is absent before complete()");
    const PutResult result = store.complete(upload, parts, {});
    expect(result.created, "complete() creates");
    expect_equal(result.object.bytes, noise.bytes().size(), "complete() confirms the size");
    expect_equal(result.object.version, s.stat(name)->version, "complete() and stat() agree on the version");
    s.expect_content(name, noise.text());
  }
  expect_equal(s.list(), {"big/0", "big/1"}, "only whole objects are listed");
}

void odd_part_sizes_are_good(Store& store, std::string_view prefix) {
  Subject s(store, prefix);
  const std::size_t times = scale(store);
  const Noise noise(times * 1000003);
  for (const std::size_t part_bytes :
       {std::size_t{300001}, std::size_t{262144}, std::size_t{999999}, std::size_t{2000000}}) {
    const Upload upload = store.begin(s.key("x"), {}, {});
    const auto parts = put_parts(store, upload, noise.bytes(), times * part_bytes);
    expect_equal(store.complete(upload, parts, {}).object.bytes, noise.bytes().size(), "size of all parts");
    s.expect_content("x", noise.text());
  }
}

void a_part_may_be_put_again(Store& store, std::string_view prefix) {
  Subject s(store, prefix);
  const std::size_t times = scale(store);
  const Noise wrong(times * 900000, 1);
  const Noise right(times * 700000, 2);
  const Upload upload = store.begin(s.key("x"), {}, {});
  const Bytes head = right.bytes().first(times * 524288);
  const Bytes tail = right.bytes().subspan(times * 524288);
  store.put_part(upload, {.number = 2, .offset = head.size()}, wrong.bytes().subspan(head.size()), {});
  store.put_part(upload, {.number = 1}, wrong.bytes().first(head.size()), {});
  const Part second = store.put_part(upload, {.number = 2, .offset = head.size()}, tail, {});
  const Part first = store.put_part(upload, {.number = 1}, head, {});
  const std::array parts{first, second};
  expect_equal(store.complete(upload, parts, {}).object.bytes, right.bytes().size(), "the last put of a part counts");
  s.expect_content("x", right.text());
}

void complete_may_be_asked_again(Store& store, std::string_view prefix) {
  Subject s(store, prefix);
  const Upload upload = store.begin(s.key("x"), {.only_if_absent = true}, {});
  const std::array parts{store.put_part(upload, {}, bytes_of("content"), {})};
  const PutResult first = store.complete(upload, parts, {});
  const PutResult again = store.complete(upload, parts, {});
  expect(first.created && again.created, "the same question gets the same answer");
  expect_equal(again.object.version, first.object.version, "and nothing is written twice");
  store.abort(upload);
  s.expect_content("x", "content");
}

void complete_heeds_conditions(Store& store, std::string_view prefix) {
  Subject s(store, prefix);
  const Noise noise(1300000);
  const std::string v1 = s.put("x", "first").object.version;
  const PutResult kept = upload_whole(s, "x", noise.bytes(), {.only_if_absent = true});
  expect(!kept.created, "complete() with only_if_absent tells that the object was there");
  expect_equal(kept.object.bytes, std::uint64_t{5}, "and describes what is there");
  s.expect_content("x", "first");
  expect(upload_whole(s, "y", noise.bytes(), {.only_if_absent = true}).created, "an absent object is created");
  s.expect_content("y", noise.text());
  if (!v1.empty()) {
    const Upload late = store.begin(s.key("x"), {.if_version = v1}, {});
    const auto parts = put_parts(store, late, noise.bytes(), std::size_t{1} << 20);
    s.put("x", "second");
    expect_error(Errc::differs, "complete() of a stale version fails", [&] { store.complete(late, parts, {}); });
    store.abort(late);
    s.expect_content("x", "second");
    expect(upload_whole(s, "x", noise.bytes(), {.if_version = s.stat("x")->version}).created,
           "the right version is replaced");
    s.expect_content("x", noise.text());
  }
  expect_equal(s.list(), {"x", "y"}, "refused uploads leave nothing");
}

void abort_leaves_nothing(Store& store, std::string_view prefix) {
  Subject s(store, prefix);
  s.put("kept/x", "old");
  const Noise noise(2500000);
  for (const std::string_view name : {"new/deep/x", "kept/x"}) {
    const Upload upload = store.begin(s.key(name), {}, {});
    const auto parts = put_parts(store, upload, noise.bytes(), std::size_t{1} << 20);
    store.abort(upload);
    store.abort(upload);
    expect_error(Errc::not_found, "an aborted upload cannot be completed", [&] { store.complete(upload, parts, {}); });
    expect_error(Errc::not_found, "an aborted upload takes no parts",
                 [&] { store.put_part(upload, {.number = 4, .offset = 2500000}, bytes_of("x"), {}); });
  }
  expect_equal(s.list(), {"kept/x"}, "an aborted upload leaves no object");
  s.expect_content("kept/x", "old");
}

void gaps_are_refused(Store& store, std::string_view prefix) {
  Subject s(store, prefix);
  const std::size_t least = store.upload_shape(std::nullopt).least_part_bytes;
  const std::string first(least + 2, '1');
  const std::string second(least + 3, '2');
  const std::uint64_t middle = first.size();
  const std::uint64_t end = middle + second.size();
  const Upload upload = store.begin(s.key("x"), {}, {});
  const Part one = store.put_part(upload, {.number = 1}, bytes_of(first), {});
  const Part three = store.put_part(upload, {.number = 3, .offset = end}, bytes_of("three"), {});
  const auto refused = [&](std::string_view promise, std::vector<Part> parts) {
    expect_error(Errc::bug, promise, [&] { store.complete(upload, parts, {}); });
    expect(!s.stat("x"), "nothing becomes visible");
  };
  refused("a missing number is refused", {one, three});
  refused("a part that was not put is refused", {one, {.number = 2, .offset = middle, .bytes = second.size()}, three});
  refused("a wrong place is refused", {one, {.number = 2, .offset = middle + 1, .bytes = second.size() - 1}});
  refused("a wrong order is refused", {three, one});
  const Part two = store.put_part(upload, {.number = 2, .offset = middle}, bytes_of(second), {});
  store.complete(upload, std::array{one, two, three}, {});
  s.expect_content("x", first + second + "three");
}

void uploads_do_not_meet(Store& store, std::string_view prefix) {
  Subject s(store, prefix);
  const Upload a = store.begin(s.key("x"), {}, {});
  const Upload b = store.begin(s.key("x"), {}, {});
  expect(a.id != b.id, "two uploads of one key are two");
  const Part of_a = store.put_part(a, {}, bytes_of("from a"), {});
  const Part of_b = store.put_part(b, {}, bytes_of("from b, longer"), {});
  store.complete(a, std::array{of_a}, {});
  s.expect_content("x", "from a");
  store.complete(b, std::array{of_b}, {});
  s.expect_content("x", "from b, longer");
}

constexpr std::array checks{
    StoreCheck{"parts_make_the_whole", parts_make_the_whole},
    StoreCheck{"odd_part_sizes_are_good", odd_part_sizes_are_good},
    StoreCheck{"a_part_may_be_put_again", a_part_may_be_put_again},
    StoreCheck{"complete_may_be_asked_again", complete_may_be_asked_again},
    StoreCheck{"complete_heeds_conditions", complete_heeds_conditions},
    StoreCheck{"abort_leaves_nothing", abort_leaves_nothing},
    StoreCheck{"gaps_are_refused", gaps_are_refused},
    StoreCheck{"uploads_do_not_meet", uploads_do_not_meet},
};

}  // namespace

std::span<const StoreCheck> upload_checks() { return checks; }

}  // namespace seawall::storage::contract
