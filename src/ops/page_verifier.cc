#include "ops/page_verifier.hh"

#include <algorithm>
#include <array>

#include "postgres/page.hh"

namespace seawall::ops {

PageVerifier::PageVerifier(std::uint32_t first_block, archive::Lsn backup_start,
                           std::function<bool(std::uint32_t, MutableBytes)> reread)
    : first_block_(first_block), backup_start_(backup_start), reread_(std::move(reread)) {}

void PageVerifier::update(Bytes data) {
  if (carried_ > 0) {
    const std::size_t n = std::min(page_bytes - carried_, data.size());
    std::copy_n(data.begin(), n, carry_.begin() + static_cast<std::ptrdiff_t>(carried_));
    carried_ += n;
    data = data.subspan(n);
    if (carried_ < page_bytes) return;
    check(carry_);
    carried_ = 0;
  }
  for (; data.size() >= page_bytes; data = data.subspan(page_bytes)) check(data.first(page_bytes));
  if (!data.empty()) {
    carry_.resize(page_bytes);
    std::copy(data.begin(), data.end(), carry_.begin());
    carried_ = data.size();
  }
}

void PageVerifier::check(Bytes page) {
  if (postgres::check_page(page, first_block_ + block_) == postgres::PageState::bad && confirmed_bad(page)) {
    bad_.push_back(block_);
  }
  ++block_;
}

bool PageVerifier::confirmed_bad(Bytes first_read) {
  // A page under constant change never agrees with itself; it is then newer than the backup's start as well.
  constexpr int reads = 8;
  std::array<std::byte, page_bytes> before;
  std::array<std::byte, page_bytes> again;
  std::copy(first_read.begin(), first_read.end(), before.begin());
  for (int i = 0; i < reads; ++i) {
    if (postgres::page_lsn(before) >= backup_start_) return false;
    if (!reread_(block_, again)) return false;
    if (postgres::check_page(again, first_block_ + block_) != postgres::PageState::bad) return false;
    if (again == before) return true;
    before = again;
  }
  return false;
}

}  // namespace seawall::ops
