// Listings, and stat_each() by one.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.hh"
#include "storage/request.hh"
#include "storage/s3/bucket_store.hh"

namespace seawall::storage::s3 {
namespace {

constexpr unsigned page_size = 1000;

void add(std::string& query, std::string_view name, std::string_view value) {
  if (!query.empty()) query += '&';
  query.append(name).append(1, '=').append(http::percent_encode(value, false));
}

/// `text` up to where it is no UTF-8: names are, but the beginning of one may end within a character, which some
/// servers do not survive.
std::string_view whole_characters(std::string_view text) {
  std::size_t end = 0;
  while (end < text.size()) {
    const auto first = static_cast<unsigned char>(text[end]);
    const std::size_t length = first < 0x80   ? 1
                               : first < 0xC2 ? 0
                               : first < 0xE0 ? 2
                               : first < 0xF0 ? 3
                               : first < 0xF5 ? 4
                                              : 0;
    if (length == 0 || end + length > text.size()) break;
    const std::string_view rest = text.substr(end + 1, length - 1);
    if (!std::all_of(rest.begin(), rest.end(),
                     [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80; })) {
      break;
    }
    end += length;
  }
  return text.substr(0, end);
}

}  // namespace

/// The page that follows `before`; the first one follows none. `options` are those of the bucket: whole keys.
ListPage BucketStore::list_page(const ListOptions& options, const ListPage& before, unsigned most,
                                const std::stop_token& stop) {
  const bool v1 = this->options().list_v1;
  const std::string_view marker = before.last.empty() ? whole_characters(options.start_after) : before.last;
  std::string query;
  if (options.all_versions) {
    query = "versions=";
    if (!marker.empty()) add(query, "key-marker", marker);
    if (!before.next_version.empty()) add(query, "version-id-marker", before.next_version);
  } else if (v1) {
    if (!marker.empty()) add(query, "marker", marker);
  } else {
    query = "list-type=2";
    if (!before.token.empty()) {
      add(query, "continuation-token", before.token);
    } else if (!marker.empty()) {
      add(query, "start-after", marker);
    }
  }
  const std::string_view prefix = whole_characters(options.prefix);
  if (!prefix.empty()) add(query, "prefix", prefix);
  if (options.one_level) add(query, "delimiter", "/");
  add(query, "encoding-type", "url");
  add(query, "max-keys", std::to_string(most));
  const Call call{.action = options.all_versions ? "ListBucketVersions" : "ListBucket", .query = std::move(query)};
  try {
    return parse_list(session_.expect(call, stop).answer.body);
  } catch (Error& error) {
    if (error.code() == Errc::corrupt) error.during(session_.label(options.prefix));
    throw;
  }
}

/// Puts the pages of a listing together: in order, each name once, no further than asked for.
class BucketStore::Listing {
 public:
  Listing(const BucketStore& store, const ListOptions& whole, const Visit& visit, const VisitPrefix& visit_prefix)
      : store_(store), whole_(whole), visit_(visit), visit_prefix_(visit_prefix) {}

  /// False ends the listing.
  bool folder(const std::string& prefix) {
    if (prefix <= last_folder_ || prefix == whole_.prefix) return true;
    last_folder_ = prefix;
    return visit_prefix_(std::string_view(prefix).substr(root().size()));
  }

  bool page(ListPage& page) {
    check_order(page);
    auto prefix = page.prefixes.begin();
    for (ObjectInfo& object : page.objects) {
      for (; prefix != page.prefixes.end() && *prefix < object.key; ++prefix) {
        if (wanted(*prefix) && !folder(*prefix)) return false;
      }
      if (!is_new(object.key)) continue;
      last_ = object.key;
      object.key.erase(0, root().size());
      // What others left there and no key of ours can name: the marker of a folder, for example.
      if (key_fault(object.key).empty() && !visit_(object)) return false;
    }
    for (; prefix != page.prefixes.end(); ++prefix) {
      if (wanted(*prefix) && !folder(*prefix)) return false;
    }
    return true;
  }

  /// Is there another page, and does the server say where it begins?
  void check_advance(const ListPage& page, const ListPage& before) const {
    const bool same =
        page.token == before.token && page.last == before.last && page.next_version == before.next_version;
    if (!same && !(page.token.empty() && page.last.empty())) return;
    throw Error(Errc::corrupt,
                fmt::format("{}: the listing does not advance: the server says that there is more, but not where",
                            store_.session_.label(whole_.prefix)));
  }

 private:
  const std::string& root() const { return store_.options().place.path; }
  bool wanted(const std::string& folder) const {
    return folder > whole_.start_after && folder.starts_with(whole_.prefix);
  }
  /// Servers differ in whether a marker that names no key is exclusive.
  bool is_new(const std::string& key) const {
    if (key <= whole_.start_after || !key.starts_with(whole_.prefix)) return false;
    return whole_.all_versions ? key >= last_ : key > last_;
  }
  void check_order(const ListPage& page) const {
    const bool sorted = std::is_sorted(page.objects.begin(), page.objects.end(),
                                       [](const ObjectInfo& a, const ObjectInfo& b) { return a.key < b.key; }) &&
                        std::is_sorted(page.prefixes.begin(), page.prefixes.end());
    if (sorted) return;
    throw Error(Errc::unsupported, fmt::format("{}: the server does not list in byte order of the keys",
                                               store_.session_.label(whole_.prefix)));
  }

  const BucketStore& store_;
  const ListOptions& whole_;
  const Visit& visit_;
  const VisitPrefix& visit_prefix_;
  std::string last_;
  std::string last_folder_;
};

/// Is there a key in `folder` behind the one to start after?
bool BucketStore::holds_more(const std::string& folder, const ListOptions& options, const std::stop_token& stop) {
  ListOptions inside = options;
  inside.prefix = folder;
  inside.one_level = false;
  const bool exact = whole_characters(options.start_after).size() == options.start_after.size();
  const ListPage page = list_page(inside, {}, exact ? 2 : page_size, stop);
  return std::any_of(page.objects.begin(), page.objects.end(),
                     [&](const ObjectInfo& object) { return object.key > options.start_after; });
}

void BucketStore::list(const ListOptions& options, const Visit& visit, const VisitPrefix& visit_prefix,
                       std::stop_token stop) {
  check_stop(stop, "list", options.prefix);
  ListOptions whole_options = options;
  whole_options.prefix = whole(options.prefix);
  if (!options.start_after.empty()) whole_options.start_after = whole(options.start_after);
  // Not every server passes over what lies before the prefix by itself.
  if (whole_options.start_after < whole_options.prefix) whole_options.start_after.clear();
  Listing listing(*this, whole_options, visit, visit_prefix);
  const std::string& after = whole_options.start_after;
  if (options.one_level && after.starts_with(whole_options.prefix)) {
    const std::size_t slash = after.find('/', whole_options.prefix.size());
    // Servers pass over the whole folder that the marker lies in.
    const std::string folder = slash == std::string::npos ? "" : after.substr(0, slash + 1);
    if (!folder.empty() && holds_more(folder, whole_options, stop) && !listing.folder(folder)) return;
  }
  ListPage before;
  while (true) {
    ListPage page = list_page(whole_options, before, page_size, stop);
    bucket_seen_ = true;
    if (!listing.page(page) || !page.truncated) return;
    listing.check_advance(page, before);
    before = {
        .token = std::move(page.token), .last = std::move(page.last), .next_version = std::move(page.next_version)};
    check_stop(stop, "list", options.prefix);
  }
}

/// One request instead of one for each, if the names have so much in common that nearly nothing else does. Nothing if
/// there is more than fits one page.
std::optional<std::vector<ObjectInfo>> BucketStore::stat_by_list(std::span<const std::string> keys,
                                                                 const std::stop_token& stop) {
  constexpr std::size_t telling = 16;
  std::string_view common = keys.front();
  for (const std::string& key : keys) {
    const auto differ = std::mismatch(common.begin(), common.end(), key.begin(), key.end()).first;
    common = common.substr(0, static_cast<std::size_t>(differ - common.begin()));
  }
  const std::size_t slash = common.rfind('/');
  if (common.size() - (slash == std::string_view::npos ? 0 : slash + 1) < telling) return std::nullopt;
  const ListPage page = list_page({.prefix = whole(common)}, {}, page_size, stop);
  if (page.truncated) return std::nullopt;
  bucket_seen_ = true;
  std::vector<ObjectInfo> found;
  for (const std::string& key : keys) {
    const std::string wanted = whole(key);
    const auto object = std::find_if(page.objects.begin(), page.objects.end(),
                                     [&](const ObjectInfo& each) { return each.key == wanted; });
    if (object == page.objects.end()) continue;
    found.push_back(*object);
    found.back().key = key;
  }
  return found;
}

std::vector<ObjectInfo> BucketStore::stat_each(std::span<const std::string> keys, std::stop_token stop) {
  check_stop(stop, "stat", keys.empty() ? std::string_view() : std::string_view(keys.front()));
  for (const std::string& key : keys) check_key(key);
  if (keys.size() > 1) {
    if (auto found = stat_by_list(keys, stop)) return std::move(*found);
  }
  return Store::stat_each(keys, stop);
}

}  // namespace seawall::storage::s3
