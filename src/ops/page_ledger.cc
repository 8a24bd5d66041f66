#include "ops/page_ledger.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>

#include "base/error.hh"
#include "ops/member_set.hh"

namespace seawall::ops {
namespace {

constexpr std::uint64_t word_bits = 64;
constexpr std::string_view spool_name = "seawall_restore_pages";

}  // namespace

bool PagesDone::has(std::uint64_t block) const noexcept {
  const std::uint64_t word = block / word_bits;
  return word < words_.size() && (words_[word] >> (block % word_bits) & 1) != 0;
}

void PagesDone::set(std::uint64_t block) {
  const std::uint64_t word = block / word_bits;
  if (word >= words_.size()) words_.resize(word + 1);
  words_[word] |= std::uint64_t{1} << (block % word_bits);
}

bool PagesDone::complete() const noexcept {
  if (limit_bytes == 0) return true;
  if (block_bytes == 0) return false;
  const std::uint64_t blocks = (limit_bytes + block_bytes - 1) / block_bytes;
  const std::uint64_t whole_words = blocks / word_bits;
  if (words_.size() < whole_words) return false;
  if (!std::all_of(words_.begin(), words_.begin() + static_cast<std::ptrdiff_t>(whole_words),
                   [](std::uint64_t word) { return word == ~std::uint64_t{0}; })) {
    return false;
  }
  const std::uint64_t rest = blocks % word_bits;
  return rest == 0 || (words_.size() > whole_words && std::countr_one(words_[whole_words]) >= static_cast<int>(rest));
}

PageLedger::PageLedger(std::filesystem::path directory) : directory_(std::move(directory)) {}

void PageLedger::open_spool() {
  if (spool_) return;
  int fd = ::open(directory_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0) {  // not every file system has nameless files
    const std::filesystem::path path = directory_ / spool_name;
    fd = ::open(path.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) throw system_error(errno, path.native());
    ::unlink(path.c_str());
  }
  spool_ = Fd(fd);
}

PagesDone PageLedger::take(std::string_view name) {
  std::unique_lock lock(mutex_);
  const auto [at, fresh] = slots_.try_emplace(MemberSet::key_of(name));
  if (at->second.taken) throw Error(Errc::corrupt, fmt::format("two parts bring {}", name));
  at->second.taken = true;
  PagesDone pages;
  if (fresh) return pages;
  const Slot slot = at->second;
  lock.unlock();
  pages.begun = true;
  pages.limit_bytes = slot.limit_bytes;
  pages.block_bytes = slot.block_bytes;
  pages.words_.resize(slot.used);
  const MutableBytes bits = std::as_writable_bytes(std::span(pages.words_));
  if (!bits.empty() && read_at(spool_, bits, slot.offset, spool_name) != bits.size()) {
    throw Error(Errc::io, fmt::format("{} in {} ended early", spool_name, directory_.native()));
  }
  return pages;
}

void PageLedger::keep(std::string_view name, const PagesDone& pages) {
  if (!pages.begun || pages.complete()) return drop(name);
  std::unique_lock lock(mutex_);
  Slot& slot = slots_[MemberSet::key_of(name)];
  slot.limit_bytes = pages.limit_bytes;
  slot.block_bytes = pages.block_bytes;
  // Pages behind the limit are of no interest any more, and a limit only shrinks: the first room is enough.
  const std::uint64_t blocks =
      pages.block_bytes == 0 ? 0 : (pages.limit_bytes + pages.block_bytes - 1) / pages.block_bytes;
  const std::uint64_t words = (blocks + word_bits - 1) / word_bits;
  slot.used = std::min<std::uint64_t>(words, pages.words_.size());
  if (slot.used != 0 && slot.words == 0) {
    open_spool();
    slot.offset = end_;
    slot.words = words;
    end_ += words * sizeof(std::uint64_t);
  }
  const std::uint64_t offset = slot.offset;
  const std::size_t used = slot.used;
  lock.unlock();
  if (used != 0) write_all_at(spool_, std::as_bytes(std::span(pages.words_).first(used)), offset, spool_name);
  lock.lock();
  slots_[MemberSet::key_of(name)].taken = false;
}

void PageLedger::drop(std::string_view name) {
  std::lock_guard lock(mutex_);
  slots_.erase(MemberSet::key_of(name));
}

}  // namespace seawall::ops
