"""How much does each prompt unit matter for each response token: by derivatives, or by removal?"""
