#include "archive/deletion_plan.hh"

#include <fmt/format.h>

#include <algorithm>
#include <queue>
#include <tuple>

#include "archive/layout.hh"

namespace seawall::archive {
namespace {

/// The next object of a stream that goes.
struct Cursor {
  std::uint64_t number = 0;
  Timeline timeline = 0;
  std::size_t stream = 0;
  bool operator>(const Cursor& other) const noexcept {
    return std::tie(number, timeline, stream) > std::tie(other.number, other.timeline, other.stream);
  }
};

/// Walks the ranges of a stream's cuts that really hold objects.
class StreamWalk {
 public:
  StreamWalk(const WalStream& stream, const std::vector<NumberRange>& cuts) {
    for (const NumberRange& cut : cuts) {
      auto run = std::lower_bound(stream.runs().begin(), stream.runs().end(), cut.first,
                                  [](const WalStream::Run& r, std::uint64_t number) { return r.last() < number; });
      for (; run != stream.runs().end() && run->first <= cut.last; ++run) {
        pieces_.push_back({std::max(run->first, cut.first), std::min(run->last(), cut.last)});
      }
    }
    std::sort(pieces_.begin(), pieces_.end(),
              [](const NumberRange& a, const NumberRange& b) { return a.first < b.first; });
  }

  bool ended() const noexcept { return piece_ == pieces_.size(); }
  std::uint64_t number() const noexcept { return pieces_[piece_].first; }
  void next() noexcept {
    if (pieces_[piece_].first++ == pieces_[piece_].last) ++piece_;
  }

 private:
  std::vector<NumberRange> pieces_;
  std::size_t piece_ = 0;
};

void visit_wal(const Catalogue& catalogue, const std::vector<WalCut>& cuts,
               const std::function<void(const std::string& key)>& visit) {
  const std::vector<WalStream>& streams = catalogue.wal().streams();
  std::vector<std::vector<NumberRange>> of_stream(streams.size());
  for (const WalCut& cut : cuts) of_stream[cut.stream].push_back(cut.numbers);
  std::vector<StreamWalk> walks;
  walks.reserve(streams.size());
  std::priority_queue<Cursor, std::vector<Cursor>, std::greater<>> oldest;
  const auto push = [&](std::size_t i) {
    if (!walks[i].ended()) oldest.push({walks[i].number(), streams[i].timeline(), i});
  };
  for (std::size_t i = 0; i < streams.size(); ++i) {
    walks.emplace_back(streams[i], of_stream[i]);
    push(i);
  }
  std::string key;
  while (!oldest.empty()) {
    const Cursor cursor = oldest.top();
    oldest.pop();
    key.assign(wal_folder)
        .append(streams[cursor.stream].object_name(cursor.number, catalogue.settings().segment_bytes));
    visit(key);
    walks[cursor.stream].next();
    push(cursor.stream);
  }
}

}  // namespace

std::string_view name_of(KeepReason::Kind kind) noexcept {
  using Kind = KeepReason::Kind;
  switch (kind) {
    case Kind::not_older:
      return "not_older";
    case Kind::not_named:
      return "not_named";
    case Kind::rule:
      return "rule";
    case Kind::long_rule:
      return "long_rule";
    case Kind::permanent:
      return "permanent";
    case Kind::perhaps_permanent:
      return "perhaps_permanent";
    case Kind::latest:
      return "latest";
    case Kind::last_restorable:
      return "last_restorable";
    case Kind::not_understood:
      return "not_understood";
    case Kind::damaged:
      return "damaged";
    case Kind::future:
      return "future";
    case Kind::in_flight:
      return "in_flight";
    case Kind::parent_of:
      return "parent_of";
    case Kind::parent_of_unfinished:
      return "parent_of_unfinished";
  }
  return "unknown";
}

std::string KeepReason::text() const {
  switch (kind) {
    case Kind::not_older:
      return "no older than " + detail;
    case Kind::not_named:
      return "not named";
    case Kind::rule:
    case Kind::long_rule:
      return detail;
    case Kind::permanent:
      return "permanent";
    case Kind::perhaps_permanent:
      return "perhaps permanent: its metadata.json cannot be read";
    case Kind::latest:
      return "LATEST";
    case Kind::last_restorable:
      return "the newest that restores";
    case Kind::not_understood:
      return "its sentinel cannot be read";
    case Kind::damaged:
      return "damaged, but not older than what is kept";
    case Kind::future:
      return "made in the future, by its clock";
    case Kind::in_flight:
      return "being written";
    case Kind::parent_of:
      return "parent of " + detail;
    case Kind::parent_of_unfinished:
      return "parent of " + detail + ", which is being written";
  }
  return {};
}

void DeletionPlan::visit(const Catalogue& catalogue, const std::function<void(const std::string& key)>& visit) const {
  for (const std::size_t index : backups) visit(sentinel_object(catalogue.backups()[index].name));
  const auto visit_folder = [&](const std::string& name, const BackupFolder& folder) {
    folder.visit([&](const std::string& object) { visit(fmt::format("{}{}/{}", backups_folder, name, object)); });
  };
  for (const std::size_t index : backups)
    visit_folder(catalogue.backups()[index].name, catalogue.backups()[index].folder);
  for (const std::size_t index : unfinished) {
    visit_folder(catalogue.unfinished()[index].name, catalogue.unfinished()[index].folder);
  }
  visit_wal(catalogue, wal, visit);
  for (const std::string& key : others) visit(key);
}

std::set<std::string, std::less<>> DeletionPlan::long_term(const Catalogue& catalogue) const {
  std::set<std::string, std::less<>> names;
  for (const KeptBackup& backup : kept) {
    if (backup.long_term) names.insert(catalogue.backups()[backup.backup].name);
  }
  return names;
}

}  // namespace seawall::archive
