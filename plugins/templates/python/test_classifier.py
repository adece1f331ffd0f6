import unittest

from classifier import classify


class Ours(unittest.TestCase):
    def test_a_refund_over_the_limit_is_our_own_rule(self):
        said = classify([("error.message", "150.00 EUR is over the refund limit")])
        self.assertEqual(said.reason, "business-rule")
        self.assertIsNone(classify([("error.message", "connect ECONNREFUSED")]))


if __name__ == "__main__":
    unittest.main()
