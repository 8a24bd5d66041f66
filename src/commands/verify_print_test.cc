#include "commands/verify_print.hh"

#include <gtest/gtest.h>

namespace seawall::commands {
namespace {

using Outcome = ops::VerifyStep::Outcome;

ops::VerifyReport report() {
  ops::VerifyReport made;
  made.started = Time(std::chrono::seconds(1795248000));
  made.backup = "base_000000010000000000000003";
  made.pg_version = 150000;
  made.reached = {.lsn = "0/5000028", .time = "", .timeline = "2", .in_recovery = false};
  made.steps = {
      {.name = "restore", .outcome = Outcome::passed, .took = std::chrono::milliseconds(1500), .detail = "ok"},
      {.name = "amcheck", .outcome = Outcome::skipped, .took = {}, .detail = "not installed"}};
  return made;
}

TEST(VerifyPrint, TextTellsEachStep) {
  EXPECT_EQ(verify_text(report()),
            "Backup base_000000010000000000000003: restores in 1.5 s\n"
            "passed  restore          1.5 s  ok\n"
            "skipped amcheck          0.0 s  not installed\n");
}

TEST(VerifyPrint, JsonIsOneObject) {
  EXPECT_EQ(verify_json(report()),
            "{\"ok\":true,\"started\":\"2026-11-21T08:00:00Z\",\"seconds\":1.500,"
            "\"backup\":\"base_000000010000000000000003\",\"pg_version\":\"15\",\"lsn\":\"0/5000028\","
            "\"timeline\":\"2\",\"last_transaction\":\"\",\"steps\":["
            "{\"name\":\"restore\",\"outcome\":\"passed\",\"seconds\":1.500,\"detail\":\"ok\"},"
            "{\"name\":\"amcheck\",\"outcome\":\"skipped\",\"seconds\":0.000,\"detail\":\"not installed\"}]}\n");
}

TEST(VerifyPrint, JunitCountsAndEscapes) {
  ops::VerifyReport failed = report();
  failed.steps.push_back({.name = "sql a<b>.sql",
                          .outcome = Outcome::failed,
                          .took = {},
                          .detail = "\"x\" & <y>\nline\x01",
                          .code = Errc::db});
  const std::string xml = verify_junit(failed);
  EXPECT_NE(xml.find("tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\" time=\"1.500\""), std::string::npos) << xml;
  EXPECT_NE(xml.find("name=\"sql a&lt;b&gt;.sql\" time=\"0.000\"><failure type=\"db\" "
                     "message=\"&quot;x&quot; &amp; &lt;y&gt;&#10;line?\"/></testcase>"),
            std::string::npos)
      << xml;
  EXPECT_NE(verify_text(failed).find("DOES NOT RESTORE"), std::string::npos);
  EXPECT_NE(verify_json(failed).find("\"error\":\"db\""), std::string::npos);
}

}  // namespace
}  // namespace seawall::commands
