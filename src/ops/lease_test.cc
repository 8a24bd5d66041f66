#include "ops/lease.hh"

#include <fmt/format.h>
#include <unistd.h>

#include "base/time_text.hh"
#include "storage/wrap/faulty.hh"
#include "support/wal_fixture.hh"

namespace seawall::ops {
namespace {

class Leases : public WalTest {
 protected:
  const std::string object_ = archive::lease_object("base_1");
};

TEST_F(Leases, StandWhileTheBackupRuns) {
  const seawall::Run run = this->run();
  {
    Lease lease(repository_, "base_1", run);
    const std::string first = plain(object_);
    EXPECT_THAT(first, AllOf(HasSubstr(fmt::format("\"pid\":{}", ::getpid())), HasSubstr(rfc3339_nano(clock_.wall()))));
    clock_.advance(std::chrono::hours(1));
    lease.renew();
    EXPECT_THAT(plain(object_), HasSubstr(rfc3339_nano(clock_.wall())));
  }
  EXPECT_EQ(plain(object_), "<absent>");
}

TEST_F(Leases, OneThatCannotBeRemovedIsToldOf) {
  repository_.store = storage::with_faults(storage::make_memory_store(clock_), [](const storage::Request& request) {
    if (request.operation == "remove") throw Error(Errc::network, "no route");
  });
  const seawall::Run run = this->run();
  { const Lease lease(repository_, "base_1", run); }
  EXPECT_THAT(log_.text(), AllOf(HasSubstr("WARNING"), HasSubstr(object_), HasSubstr("no route")));
}

}  // namespace
}  // namespace seawall::ops
